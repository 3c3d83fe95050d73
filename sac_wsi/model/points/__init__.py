"""From maps to points, and from points and masks to instances."""
