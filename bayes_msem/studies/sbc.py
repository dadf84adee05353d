"""``bm.sbc``: is the posterior of a model what it says it is? Simulation-based calibration."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from os import PathLike
from typing import Any

import numpy as np

from bayes_msem.arguments import (
    MOST_CHAINS,
    MOST_DRAWS,
    anything,
    checked,
    integer,
    several,
    shown,
)
from bayes_msem.blueprint.rotated import check_unturned
from bayes_msem.checking.priors.prior_draws import draw_prior
from bayes_msem.errors import SpecificationError
from bayes_msem.model import Model
from bayes_msem.spec.row_names import find_row, is_key, key_text
from bayes_msem.spec.table import Row, RowKey
from bayes_msem.studies.replications import quiet
from bayes_msem.studies.running import (
    a_model,
    an_executor,
    compute_missing,
    place_of,
    progress_bar,
    sampler_settings,
    seed_for,
    tell_failures,
)
from bayes_msem.studies.sbc_replication import CALIBRATION, LOG_LIKELIHOOD, Calibration
from bayes_msem.studies.sbc_result import SbcResult
from bayes_msem.studies.study_file import StudyFile

__all__ = ["named_quantities", "sbc"]


@checked(
    model=a_model,
    replications=integer(1, 10**6, what="a number of replications, such as 200"),
    quantities=anything,
    executor=an_executor,
    draws=integer(4, MOST_DRAWS, what="an integer, such as 500"),
    tune=integer(1, MOST_DRAWS, what="an integer, such as 500"),
    chains=integer(1, MOST_CHAINS, what="an integer, such as 2"),
    path=anything,
)
def sbc(
    model: Model,
    *,
    replications: int = 200,
    quantities: Any = None,
    draws: int = 500,
    tune: int = 500,
    chains: int = 2,
    executor: Executor | None = None,
    path: str | PathLike[str] | None = None,
    random_seed: int | None = None,
    progress: bool = True,
    **options: Any,
) -> SbcResult:
    """Check by simulation whether NUTS draws from the posterior of this very model.

    This is simulation-based calibration (Talts et al. 2018; Modrák et al. 2023). Every replication
    draws parameters from the priors of the model and data at them, for the clusters, covariates and
    missing values of its own data, and fits the model to these data, with the same priors. If all
    is well, the parameters that made the data are one more draw from the posterior, so that their
    rank among draws is uniform; the same holds for every function of parameters and data.

    Parameters
    ----------
    model
        The model. Its outcomes do not matter, but for the scales of default priors; these are kept
        as they are. Give priors that expect data that may occur (``docs/calibration.md``).
    replications
        Data sets.
    quantities
        What to rank: rows by key, text or label, definitions by name, and "log_likelihood". None:
        all free rows, definitions, and the log-likelihood (with sampled effects: given these).
        Without the last one a posterior that ignores some of the data may pass.
    draws, tune, chains
        As in :meth:`bayes_msem.Model.fit`. Draws are thinned to 99 nearly independent ones; if
        there are fewer, to these.
    executor
        Runs replications side by side, as in :func:`bayes_msem.study`.
    path
        CSV file with the finished replications, to go on from after an interrupt or with more
        replications, as in :func:`bayes_msem.study`. None: nothing is written.
    random_seed
        Seed; None draws a new one, or takes that of the file at ``path``.
    progress
        Show a progress bar.
    **options
        Passed to :meth:`bayes_msem.Model.fit`, such as ``target_accept=0.95``.

    Returns
    -------
    SbcResult
        With ``ranks``, ``summary()``, ``fits``, ``replications``, ``plot()`` and ``save()``.

    Raises
    ------
    SpecificationError
        Unknown quantities, or a model without free parameters; before anything is fitted.
    NotSupportedError
        Hardly any draw of the priors has positive definite covariances.
    FileError
        The file at ``path`` holds something else, or cannot be written.

    Warns
    -----
    AccuracyWarning
        Some replications failed; says how many and why. They have no ranks, but are counted.
        Warnings of single fits are not shown: ``result.fits`` counts what they are about.

    References
    ----------
    Talts, S., Betancourt, M., Simpson, D., Vehtari, A., & Gelman, A. (2018). Validating Bayesian
    inference algorithms with simulation-based calibration. https://arxiv.org/abs/1804.06788
    Modrák, M., Moon, A. H., Kim, S., Bürkner, P., Huurre, N., Faltejsková, K., Gelman, A., &
    Vehtari, A. (2023). Simulation-based calibration checking for Bayesian computation: The choice
    of test quantities shapes sensitivity. Bayesian Analysis. https://doi.org/10.1214/23-BA1404

    Examples
    --------
    >>> import bayes_msem as bm
    >>> model = bm.Model('''
    ...     level: within
    ...         mach ~ b*cses
    ...     level: between
    ...         mach ~ sector
    ... ''', data=bm.load_dataset("hsb"), cluster="school")
    >>> found = bm.sbc(model, replications=100)  # doctest: +SKIP
    >>> found.plot()  # doctest: +SKIP
    >>> bm.sbc(model, quantities=["c"])
    Traceback (most recent call last):
    bayes_msem.spec.row_names.UnknownRowError: quantities: no row 'c'...
    """
    check_unturned(
        model.unpiloted_blueprint(),
        "bm.sbc()",
        "Calibrate the model with confirmatory factors, or recover loadings with bm.study()",
    )
    place = place_of(path, CALIBRATION)
    rows, likelihood = _quantities(model, quantities)
    settings = sampler_settings(options, executor, draws=draws, tune=tune, chains=chains)
    calibration = Calibration(
        model=model,
        quantities=rows,
        likelihood=likelihood,
        settings=settings,
        seed=seed_for(random_seed, place, CALIBRATION),
    )
    stored = StudyFile(place, calibration.record(), CALIBRATION)
    draw_prior(model.unpiloted_blueprint(), 1, np.random.default_rng(0))  # raises if there is none
    numbers = range(replications)
    with progress_bar(progress, replications) as advance, quiet():
        compute_missing(calibration, numbers, lambda i: (i,), executor, stored, advance)
    result = SbcResult(stored.frame((i,) for i in numbers), stored.record)
    tell_failures(result.replications, replications, ".fits")
    return result


def _quantities(model: Model, wanted: Any) -> tuple[dict[str, RowKey], bool]:
    """Find the rows to rank, by name, and say whether the log-likelihood is ranked too."""
    free = [row for row in model.table.rows if row.free]
    if not free:
        raise SpecificationError(
            "the model has no free parameters, so there is no posterior to calibrate"
        )
    if wanted is None:
        return named_quantities(model), True
    alone = isinstance(wanted, str) or is_key(wanted)
    listed = [wanted] if alone else list(several("quantities", wanted))
    if not listed:
        raise SpecificationError("quantities is empty; name at least one, or leave it out")
    names = [name for name in listed if not (isinstance(name, str) and name == LOG_LIKELIHOOD)]
    return _named([_row(model, name) for name in names]), len(names) < len(listed)


def named_quantities(model: Model) -> dict[str, RowKey]:
    """All free rows and definitions, by label or text."""
    return _named([row for row in model.table.rows if row.free or row.kind == "defined"])


def _named(rows: Sequence[Row]) -> dict[str, RowKey]:
    named: dict[str, RowKey] = {}
    for row in rows:
        name = row.label or (row.lhs if row.kind == "defined" else key_text(row.key))
        named.setdefault(name, row.key)
    return named


def _row(model: Model, name: Any) -> Row:
    row = find_row(model.table.rows, name, what="quantities")
    if row.random or not (row.free or row.kind == "defined"):
        about = "a random coefficient" if row.random else f"fixed at {row.value:g}"
        raise SpecificationError(
            f"quantities: {shown(name)} is {about}, so it has no posterior to rank; leave it out"
        )
    return row
