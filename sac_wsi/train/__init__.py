"""Training: what the model is fitted to and how."""
