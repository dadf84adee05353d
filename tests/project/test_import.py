"""What a user waits for before the first model: nothing is imported that no model needs."""

from __future__ import annotations

import subprocess
import sys

# Figures, files, tables, distributions, and nutpie, which comes with all of ArviZ.
LATER = {
    *("arviz", "arviz_plots", "arviz_stats", "graphviz", "h5py", "jax", "matplotlib", "nutpie"),
    *("docx", "formulaic", "great_tables", "scipy.stats", "xarray_einstats", "zarr"),
}

SCRIPT = """
import sys

import bayes_msem as bm

print(*sys.modules)
model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
for wrong in ({"draws": 0}, {"target_accept": 2}, {"step_size_jitter": "a"}, {"foo": 1}):
    try:
        model.fit(**wrong)
    except bm.MsemError:
        continue
    raise AssertionError(wrong)
print(*sys.modules)
"""


def test_what_draws_saves_or_samples_is_imported_when_it_is_used() -> None:
    """Neither the package nor a refused argument of ``fit`` waits for it."""
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    at_import, after_refusals = (set(line.split()) for line in run.stdout.splitlines())
    assert at_import & LATER == set()
    assert after_refusals & LATER == set()
