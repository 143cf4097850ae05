"""What users hand in: their files, pyhf workspaces and their patches, functions of their own."""
