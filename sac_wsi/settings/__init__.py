"""Typed settings and their YAML files."""
