"""Read and write the store, one zarr per slide: columns, label pyramid, provenance, outputs."""
