"""Files of weights, their card, and the settings that they are used with."""
