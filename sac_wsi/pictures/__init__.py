"""Pictures of a run: outlines, density."""
