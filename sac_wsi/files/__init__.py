"""Files that appear complete or not at all, named arrays in one file, and hashes of files."""
