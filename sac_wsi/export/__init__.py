"""Write a store as GeoJSON or as a label image, and read such files back."""
