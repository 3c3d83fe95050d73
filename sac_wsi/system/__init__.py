"""What depends on the operating system: signals, memory, locks."""
