"""Write values.csv: log densities of single cells and their derivatives, with 80 digits.

    python mpmath_values.py        (mpmath 1.4; it is no dependency of the package or of its tests)

Densities are written as they are defined; derivatives, and the negative second derivative with
respect to eta ("weight"), are mpmath's numerical ones. Columns follow the kernel in
bayes_msem/kernels/responses.py.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mpmath as mp

mp.mp.dps = 80
GAUSSIAN, PROBIT, LOGIT, POISSON, NEGBINOMIAL = range(5)
INF = math.inf
Case = tuple[int, float, float, float, float, float]

ETAS = (-40.0, -3.0, -0.7, 0.3, 8.25, 40.0)
CUTS = (
    *((-INF, t) for t in (-40.0, -1.2, 0.5, 40.0)),
    *((t, INF) for t in (-40.0, -1.0, 0.25, 40.0)),
    *((-40.0, 40.0), (-6.0, 7.0), (-0.5, 0.75), (-2.0, 0.125), (1.0, 4.0), (2.0, 2.3125)),
    *((0.0, 2**-10), (-1.0, -1.0 + 2**-20), (0.5, 0.5 + 2**-30)),  # close to each other
    *((39.0, 40.0), (-40.0, -39.75), (38.0, 38.0078125)),  # in a far tail
)
TAILS = ((-INF, -60.0), (-INF, -1e3), (1e3, INF), (600.0, 601.0), (499.0, 499.0078125),
         (600.0, 600.0009765625), (700.0, 900.0), (49.875, INF), (50.125, INF))  # fmt: skip
COUNTS = (0.0, 1.0, 7.0, 15.0, 16.0, 40.0, 3000.0, 1e5)
ALPHAS = (2.0**-40, 2.0**-10, 0.03125, 0.5, 2.0, 64.0, 2.0**20)


def cases() -> Iterator[Case]:
    for code in (PROBIT, LOGIT):
        for eta in ETAS:
            yield from ((code, 0.0, eta, *cut, 0.0) for cut in CUTS)
        yield from ((code, 0.0, 0.0, *cut, 0.0) for cut in TAILS)
    for eta in (-40.0, -3.0, 0.25, 2.0, 3.75, 8.0, 40.0):
        for y in COUNTS:
            yield POISSON, y, eta, -INF, INF, 0.0
            yield from ((NEGBINOMIAL, y, eta, -INF, INF, alpha) for alpha in ALPHAS)
    for eta, y in ((0.0, 0.5), (-40.0, 1.0), (3.0, 2.0)):
        yield from ((GAUSSIAN, y, eta, -INF, INF, v) for v in (2.0**-10, 0.75, 8.0))


def cumulative(code: int, z: Any) -> Any:
    if mp.isinf(z):
        return mp.mpf(z > 0)
    return mp.ncdf(z) if code == PROBIT else 1 / (1 + mp.exp(-z))


def log_density(case: Case, eta: Any, lower: Any, upper: Any, dispersion: Any) -> Any:
    code, y = case[0], mp.mpf(case[1])
    if code in (PROBIT, LOGIT):
        a, b = lower - eta, upper - eta
        if a + b > 0:
            a, b = -b, -a
        return mp.log(cumulative(code, b) - cumulative(code, a))
    if code == GAUSSIAN:
        return -mp.log(2 * mp.pi * dispersion) / 2 - (y - eta) ** 2 / (2 * dispersion)
    mean = mp.exp(eta)
    if code == POISSON:
        return y * eta - mean - mp.loggamma(y + 1)
    r = 1 / dispersion
    combinations = mp.loggamma(y + r) - mp.loggamma(r) - mp.loggamma(y + 1)
    return combinations + r * mp.log(r / (r + mean)) + y * mp.log(mean / (r + mean))


def values(case: Case) -> list[float]:
    """Log density, derivatives (eta, lower, upper, dispersion), weight."""
    at = [mp.mpf(v) for v in case[2:]]

    def along(k: int) -> Any:
        return lambda v: log_density(case, *at[:k], v, *at[k + 1 :])

    slopes = [
        mp.mpf(0) if mp.isinf(at[k]) or (k == 3 and at[3] == 0) else mp.diff(along(k), at[k])
        for k in range(4)
    ]
    weight = -mp.diff(along(0), at[0], 2)
    return [float(v) for v in (log_density(case, *at), *slopes, weight)]


def main() -> None:
    heads = "code y eta lower upper dispersion log_p d_eta d_lower d_upper d_dispersion weight"
    with (Path(__file__).parent / "values.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heads.split())
        for case in cases():
            writer.writerow([*case, *values(case)])


if __name__ == "__main__":
    main()
