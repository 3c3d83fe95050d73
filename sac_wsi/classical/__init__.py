"""Haematoxylin by colour deconvolution, adaptive threshold, seeded watershed: no weights."""
