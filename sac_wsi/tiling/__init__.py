"""The pure core: the tile grid, stitching, images in memory, and the protocol of segmenters."""
