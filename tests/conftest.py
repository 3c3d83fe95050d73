import os

from hypothesis import settings

# the first example of a test may compile a numba kernel: no deadline; the same examples on every CI run
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
