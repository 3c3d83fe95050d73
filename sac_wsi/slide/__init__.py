"""Slides: open, resolution, frames, reading at any resolution."""
