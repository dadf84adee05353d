"""What a number of clusters, and cluster means that are not reliable, leave to the priors.

Thresholds are those of ``docs/small_samples.md``, and ``tests/data/test_sample_size.py`` compares
them with the results of the study there (``benchmarks/prior_study_results.csv.xz``):

- *Clusters per free parameter of level between*, predictors being reliable: with four or more, the
  intervals of slopes have .93 or more of the width under priors 2.5 times as wide; with fewer than
  two they have .8 on average.
- *Reliability of the cluster means of a predictor*, ICC(2): where it is below .6, the intervals of
  its slope between are less than .65 times as wide as under those priors, on average over models of
  5 to 50 clusters, and in the 120 clusters of one example. More clusters were not studied.
"""

from __future__ import annotations

from collections.abc import Mapping

from bayes_msem.wording import plural

__all__ = ["AMPLE", "FEW", "MOST_CLUSTERS", "PAGE", "RELIABLE", "on_clusters", "on_reliability"]

AMPLE, FEW = 4, 2  # clusters per free parameter of level between
RELIABLE = 0.6
MOST_CLUSTERS = 120
PAGE = "docs/small_samples.md"
_MOST_IN_DESIGN = 50
_SHOWN = 6


def on_clusters(n_clusters: int) -> str:
    """Say how large a model of level between these clusters support; empty if nothing is known."""
    if n_clusters > _MOST_IN_DESIGN:
        return ""
    ample, most = n_clusters // AMPLE, n_clusters // FEW
    return (
        f"{n_clusters} clusters: up to {plural(ample, 'free parameter')} of level between "
        f"({AMPLE} clusters each), default priors hardly narrow the intervals of slopes on "
        f"reliable predictors; beyond {most} ({FEW} each) they do. A variable that is split has "
        f"two at least, its mean and its variance between ({PAGE})."
    )


def on_reliability(reliability: Mapping[str, float], n_clusters: int) -> str:
    """Name variables whose cluster means are too unreliable to predict; empty if there are none.

    Parameters
    ----------
    reliability
        ICC(2) by variable; NaN (no variance of cluster means) counts as 0.
    n_clusters
        Number of clusters.
    """
    low = {name: max(0.0, r) if r == r else 0.0 for name, r in reliability.items()}
    low = {name: r for name, r in low.items() if r < RELIABLE}
    if not low or n_clusters > MOST_CLUSTERS:
        return ""
    names = [f"{name} ({_two(r)})" for name, r in low.items()]
    if len(names) > _SHOWN:
        names = [*names[:_SHOWN], f"and {len(names) - _SHOWN} more"]
    return (
        f"Reliability of cluster means below {_two(RELIABLE)}: {', '.join(names)}. As predictors "
        "at level between they have slopes that depend much on the priors: report both sets, "
        f"priors='informative' (the defaults) and priors='wide' ({PAGE})."
    )


def _two(value: float) -> str:
    return f"{value:.2f}".lstrip("0") if value < 1 else f"{value:.2f}"
