"""One reader per library: OpenSlide, Pillow, TIAToolbox."""
