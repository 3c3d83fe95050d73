"""The networks of the paper's figure, one file per part; `sizes` holds every size."""
