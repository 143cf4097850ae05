"""Commands that are no questions; each file has its options (`add`) and what it does."""
