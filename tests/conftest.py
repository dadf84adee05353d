"""Settings shared by all tests."""

import os

from hypothesis import settings

# Before anything imports matplotlib: no test needs a display.
os.environ.setdefault("MPLBACKEND", "Agg")

# No deadline, since the first call of a numba function compiles it; no random seed, so that a run
# can be repeated.
settings.register_profile("bayes_msem", deadline=None, derandomize=True)
settings.load_profile("bayes_msem")
