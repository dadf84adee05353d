"""What missing values cost: one log-likelihood with gradient, in microseconds of CPU.

Six indicators, one factor per level with a covariate each, 2,500 rows in 200 clusters of 5 to 20;
complete, and with 15% of the values missing completely at random. Compared with the complete-data
kernels and with evaluating row by row: the same likelihood, but every incomplete row a piece of its
own, as a program does that knows no patterns.

A large case besides: 10 indicators, one factor per level, 20,000 rows in 500 clusters, with 15% and
with 30% missing.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd
from measure import result

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import build_blueprint

REPEATS, BATCHES = 200, 30
LARGE_ROWS, LARGE_CLUSTERS, LARGE_REPEATS = 20_000, 500, 20
NAMES = [f"y{i}" for i in range(1, 7)]
SPEC = f"""
level: within
    fw =~ {" + ".join(NAMES)}
    fw ~ x1
level: between
    fb =~ {" + ".join(NAMES)}
    fb ~ w1
"""
LARGE_NAMES = [f"y{i}" for i in range(1, 11)]
LARGE_SPEC = f"""
level: within
    fw =~ {" + ".join(LARGE_NAMES)}
level: between
    fb =~ {" + ".join(LARGE_NAMES)}
"""
SLOPES = SPEC.replace("fw ~ x1", 'fw ~ rv("s")*x1')


def simulate(seed: int = 1) -> pd.DataFrame:
    """Draw complete data."""
    rng = np.random.default_rng(seed)
    sizes = np.repeat([5, 10, 15, 20], 50)
    cluster = np.repeat(np.arange(200), sizes)
    x, w = rng.normal(size=len(cluster)), rng.normal(size=200)
    fw, fb = 0.5 * x + rng.normal(size=len(cluster)), 0.4 * w + 0.6 * rng.normal(size=200)
    noise_b = 0.3 * rng.normal(size=(200, 6))
    y = (fw + fb[cluster])[:, None] + noise_b[cluster] + 0.8 * rng.normal(size=(len(cluster), 6))
    frame = pd.DataFrame(y, columns=NAMES)
    return frame.assign(cluster=cluster, x1=x, w1=w[cluster])


def simulate_large(seed: int = 3) -> pd.DataFrame:
    """Draw complete data of the large case."""
    rng, p = np.random.default_rng(seed), len(LARGE_NAMES)
    cluster = np.repeat(np.arange(LARGE_CLUSTERS), LARGE_ROWS // LARGE_CLUSTERS)
    factors = rng.normal(size=len(cluster)) + 0.7 * rng.normal(size=LARGE_CLUSTERS)[cluster]
    noise_b = 0.3 * rng.normal(size=(LARGE_CLUSTERS, p))
    y = factors[:, None] + noise_b[cluster] + 0.8 * rng.normal(size=(len(cluster), p))
    return pd.DataFrame(y, columns=LARGE_NAMES).assign(cluster=cluster)


def with_holes(frame: pd.DataFrame, share: float = 0.15, seed: int = 2) -> pd.DataFrame:
    """Remove values of the indicators completely at random."""
    rng, names = np.random.default_rng(seed), [n for n in frame if n.startswith("y")]
    return frame.assign(**{n: frame[n].where(rng.uniform(size=len(frame)) >= share) for n in names})


def counts(frame: pd.DataFrame) -> tuple[int, int]:
    """Count patterns and pieces (pairs of a cluster and a pattern)."""
    missing = frame[[n for n in frame if n.startswith("y")]].isna()
    missing = missing[~missing.all(axis=1)]
    pieces = missing.assign(cluster=frame["cluster"]).drop_duplicates()
    return len(missing.drop_duplicates()), len(pieces)


def seconds(call: object, repeats: int = REPEATS) -> tuple[float, float]:
    """CPU microseconds per call: minimum and median over batches."""
    call()  # type: ignore[operator]
    times = []
    for _ in range(BATCHES):
        start = time.process_time()
        for _ in range(repeats):
            call()  # type: ignore[operator]
        times.append((time.process_time() - start) / repeats * 1e6)
    return min(times), float(np.median(times))


def evaluation(spec: str, frame: pd.DataFrame) -> object:
    """Return a function that evaluates the likelihood and its gradient once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        model = bm.Model(spec, data=frame, cluster="cluster")
    blueprint = build_blueprint(model.table, model._priors, model._observed)
    x = blueprint.extend_sampled(np.full(blueprint.parameters.n, 0.7))
    t = np.zeros((blueprint.observed.n_clusters, 0))
    assert np.isfinite(blueprint.likelihood.sampled(x, t)[0])
    return lambda: blueprint.likelihood.sampled(x, t)


def row_by_row(spec: str, frame: pd.DataFrame) -> object:
    """Return the same with a piece for every row: the kernel that knows no patterns."""
    model = bm.Model(spec, data=frame, cluster="cluster")
    blueprint = build_blueprint(model.table, model._priors, model._observed)
    likelihood, statistics = blueprint.likelihood, pack_rows(model._observed)
    x = blueprint.extend_sampled(np.full(blueprint.parameters.n, 0.7))
    t = likelihood.no_coordinates()
    value = likelihood.given_effects(x, t, statistics)
    expected = likelihood.sampled(x, t)[0]
    assert abs(value - expected) < 1e-9 * abs(expected)
    return lambda: likelihood.given_effects(x, t, statistics)


def pack_rows(observed: object) -> np.ndarray:
    """Pack the cross products of every single row."""
    from bayes_msem.data import pieces as module
    from bayes_msem.likelihood.statistics import pack_by_cluster

    parts = module.pieces(observed, by_row=True)  # type: ignore[arg-type]
    return pack_by_cluster(observed, parts)  # type: ignore[arg-type]


def main() -> None:
    """Print the table of docs/missing.md."""
    frame = simulate()
    incomplete = with_holes(frame)
    print("{} patterns, {} pieces, 2,500 rows in 200 clusters".format(*counts(incomplete)))
    for name, spec in (("random intercepts", SPEC), ("random slope", SLOPES)):
        complete = seconds(evaluation(spec, frame))
        missing = seconds(evaluation(spec, incomplete))
        rows = seconds(row_by_row(spec, incomplete))
        print(
            f"{name}: complete {complete[0]:.1f} / {complete[1]:.1f} us, "
            f"15% missing {missing[0]:.1f} / {missing[1]:.1f} us "
            f"({missing[0] / complete[0]:.1f} times), row by row {rows[0]:.1f} us "
            f"({rows[0] / missing[0]:.1f} times that)"
        )
    large()


def large() -> None:
    """Print the rows of the large case."""
    frame = simulate_large()
    for share in (0.15, 0.3):
        incomplete = with_holes(frame, share)
        lowest, middle = seconds(evaluation(LARGE_SPEC, incomplete), LARGE_REPEATS)
        size = "{} patterns, {} pieces".format(*counts(incomplete))
        print(
            f"{LARGE_ROWS:,} rows in {LARGE_CLUSTERS} clusters, {len(LARGE_NAMES)} indicators, "
            f"{share:.0%} missing ({size}): {lowest / 1e3:.2f} / {middle / 1e3:.2f} ms "
            f"(target with 15%: 1.5)"
        )
        if share == 0.15:
            result("gradient, 20,000 rows, 15% missing", lowest / 1e3, "ms", 1.5, digits=2)


if __name__ == "__main__":
    main()
