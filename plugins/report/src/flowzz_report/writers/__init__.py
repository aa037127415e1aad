"""A Document as a file: PDF, XLSX or CSV."""
