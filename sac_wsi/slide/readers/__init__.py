"""Readers, one per library: OpenSlide, Pillow, TIAToolbox."""
