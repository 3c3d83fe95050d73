"""Decide where on a slide to search for nuclei, and read what a person drew on it."""
