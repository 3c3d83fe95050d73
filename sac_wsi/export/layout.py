"""How our GeoJSON is laid out: the header on the first line, then one feature a line."""

COLLECTION_START = b'{"type":"FeatureCollection","sac_wsi":'
FEATURES_START = b',"features":[\n'
SEPARATOR = b",\n"
COLLECTION_END = b"\n]}\n"
