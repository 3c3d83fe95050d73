"""Settings that every test shares."""

import os
import signal

# a shell ignores Ctrl-C for what it starts in the background; the programs that the tests interrupt must not
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# one thread per process, in child processes too: the tests themselves run side by side (pytest -n auto), and
# sums in the same order give the same weights
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

# The first example of a test may compile a numba kernel, so there is no deadline. CI runs the same examples
# each time; the stress tests (.ci/long) run five times as many.
settings.register_profile("default", deadline=None, max_examples=30)
settings.register_profile("ci", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))
