"""The pure core: tiles, who owns a nucleus, whole images; what a segmenter is."""
