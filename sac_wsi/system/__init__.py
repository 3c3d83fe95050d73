"""All calls that depend on the operating system: locks, signals, memory, renames.

The tests run on Linux. What another system does not offer is left out there: no other folder imports
``fcntl``, ``msvcrt``, ``signal`` or ``ctypes``.
"""
