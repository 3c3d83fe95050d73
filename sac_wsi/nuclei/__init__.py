"""Nuclei as columns: masks, outlines, measurements, identity."""
