"""The weights that ship, the catalogue of those that can be downloaded, and the download."""
