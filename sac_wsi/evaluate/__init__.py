"""Scores of label images and of models against true labels."""
