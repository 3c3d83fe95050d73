"""Draw the result of a run: outlines of nuclei in a region, their density over the whole slide."""
