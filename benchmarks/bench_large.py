"""A million rows in 10,000 clusters: CPU seconds and memory from the model to cluster effects.

Six indicators, one factor at each level; cluster sizes from 50 to 150. 4 chains of 1,000 draws
after 1,000, then ``fit.cluster_effects()``. Compilation is not counted: a small model is fitted
before.
"""

from __future__ import annotations

import argparse
import contextlib
import io

import numpy as np
import pandas as pd
from measure import cpu_time, machine, peak_mib, print_table, result
from models import quiet_model

CLUSTERS, SMALLEST, LARGEST, INDICATORS = 10_000, 50, 150, 6
SECONDS, MIB = 90.0, 3 * 1024
TEXT = """
level: within
fw =~ y1 + y2 + y3 + y4 + y5 + y6
level: between
fb =~ y1 + y2 + y3 + y4 + y5 + y6
"""


def frame(clusters: int, seed: int = 1) -> pd.DataFrame:
    """Simulate the data."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(SMALLEST, LARGEST + 1, clusters)
    cluster = np.repeat(np.arange(clusters), sizes)
    loadings = np.linspace(1.0, 0.6, INDICATORS)
    y = np.outer(rng.normal(size=len(cluster)), loadings)
    y += 0.8 * rng.normal(size=y.shape)
    between = np.outer(0.5 * rng.normal(size=clusters), loadings)
    y += (between + 0.2 * rng.normal(size=between.shape))[cluster]
    columns = {f"y{i + 1}": y[:, i] for i in range(INDICATORS)}
    return pd.DataFrame(columns | {"cluster": cluster})


def phases(data: pd.DataFrame, draws: int) -> list[list[str]]:
    """Go from the model to cluster effects; return rows of the table."""
    rows = []
    with cpu_time() as building:
        model = quiet_model(TEXT, data, "cluster")
    rows.append(["Model(...)", f"{building.seconds:.1f}", f"{peak_mib():.0f}"])
    with cpu_time() as sampling:
        fit = model.fit(draws=draws, tune=draws, random_seed=1, progress=False)
    rows.append(["fit", f"{sampling.seconds:.1f}", f"{peak_mib():.0f}"])
    with cpu_time() as summing:
        summary = fit.summary()
    rows.append(["summary()", f"{summing.seconds:.1f}", f"{peak_mib():.0f}"])
    with cpu_time() as recovering:
        effects = fit.cluster_effects()
    assert len(effects) >= data["cluster"].nunique()
    rows.append(["cluster_effects()", f"{recovering.seconds:.1f}", f"{peak_mib():.0f}"])
    total = sum(t.seconds for t in (building, sampling, summing, recovering))
    result("a million rows: model to cluster effects", total, "CPU s", SECONDS)
    result("a million rows: peak memory", peak_mib() / 1024, "GiB", MIB / 1024)
    rows.append([f"all (R-hat {summary['r_hat'].max():.4f})", f"{total:.1f}", f"{peak_mib():.0f}"])
    return rows


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clusters", type=int, default=CLUSTERS)
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    print(machine())
    with contextlib.redirect_stdout(io.StringIO()):
        phases(frame(30, seed=2), 50)
    data = frame(options.clusters)
    print(f"{len(data):,} rows; {peak_mib():.0f} MiB before the model")
    print_table(["phase", "CPU s", "peak MiB so far"], phases(data, options.draws))
    print(f"targets: {SECONDS:.0f} CPU s, {MIB} MiB in all")


if __name__ == "__main__":
    main()
