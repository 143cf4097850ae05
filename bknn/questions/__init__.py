"""Questions: one file each, with its options, what answers it, what is said and written.

`shared` has what several of them need.
"""
