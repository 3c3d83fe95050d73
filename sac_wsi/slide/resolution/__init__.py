"""Find the size of a slide's pixels in its properties."""
