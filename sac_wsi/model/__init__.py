"""The parts of SAC: encoder with low-rank updates or adapters, prompter, decoder."""
