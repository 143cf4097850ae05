"""What questions share: options, output, progress, resuming, headings, numbers, files."""
