"""The SAC model: points, networks, checkpoints, prediction."""
