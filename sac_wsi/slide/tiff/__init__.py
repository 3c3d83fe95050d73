"""The structure of TIFF files, where reading it directly is faster or safer."""
