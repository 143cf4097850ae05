"""What `bknn` can be told: one command a file, each with its options (`add`) and what it does.

`options` has what commands share, `output` what they leave behind, `progress` the bar on the way.
"""
