"""Typed settings, and the YAML files that they are read from."""
