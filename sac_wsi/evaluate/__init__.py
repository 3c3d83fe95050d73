"""Scores of label images and of models."""
