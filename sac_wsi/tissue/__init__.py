"""Where to look: tissue found on a thumbnail, regions and points that a person drew."""
