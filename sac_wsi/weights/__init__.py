"""The weights that ship, the catalogue of those that can be fetched, and the download."""
