"""One slide, from pixels to published nuclei. `segment` is the composition."""
