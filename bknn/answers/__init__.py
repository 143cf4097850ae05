"""What all results have in common: whether to believe them, files, tables and a short text."""
