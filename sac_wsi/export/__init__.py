"""Views of the store: GeoJSON and label images."""
