"""Open slides, find their resolution, and read them at any resolution."""
