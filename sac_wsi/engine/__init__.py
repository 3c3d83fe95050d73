"""Segment one slide, from pixels to the finished store; `segment.py` holds the steps in their order."""
