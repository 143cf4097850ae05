"""Form factors of B -> K(*) transitions, one file per published determination."""
