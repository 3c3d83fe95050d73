"""Read the structure of TIFF files directly where this is faster or safer."""
