"""Train a model: images, augmentation, losses, training loop and validation."""
