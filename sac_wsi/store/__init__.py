"""One zarr per slide: columns, label pyramid, the run that made it, its outputs."""
