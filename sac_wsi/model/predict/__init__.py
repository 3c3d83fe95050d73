"""From RGB tiles to nuclei."""
