"""``bm.study``: how well a model would be estimated, by number and size of clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from os import PathLike
from typing import Any

from bayes_msem.arguments import (
    MOST_CHAINS,
    MOST_DRAWS,
    IntervalKind,
    anything,
    checked,
    integer,
    number,
    rows,
)
from bayes_msem.blueprint.values import Values
from bayes_msem.errors import SpecificationError
from bayes_msem.model import Model
from bayes_msem.studies import replications as one_by_one
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
from bayes_msem.studies.study_design import (
    Cell,
    StudyDesign,
    cells_of,
    check_analysable,
    check_values,
    read_ropes,
    targets_of,
)
from bayes_msem.studies.study_figures import share_error
from bayes_msem.studies.study_file import Key, StudyFile
from bayes_msem.studies.study_result import StudyResult

__all__ = ["study"]


@checked(
    model=a_model,
    values=anything,
    clusters=anything,
    sizes=anything,
    replications=integer(1, 10**6, what="a number of replications, such as 200"),
    targets=rows,
    rope=anything,
    executor=an_executor,
    draws=integer(4, MOST_DRAWS, what="an integer, such as 500"),
    tune=integer(1, MOST_DRAWS, what="an integer, such as 300"),
    chains=integer(1, MOST_CHAINS, what="an integer, such as 4"),
    stop_mcse=number("a number between 0 and 0.5, such as 0.03", 0.0, 0.5, strict=True),
    batch=integer(2, what="a number of replications, such as 50"),
    path=anything,
)
def study(
    model: Model,
    values: Values,
    *,
    clusters: int | Sequence[int] | None = None,
    sizes: int | Sequence[int],
    replications: int = 200,
    targets: Any = None,
    rope: tuple[float, float] | Mapping[Any, tuple[float, float]] | None = None,
    ci: float = 0.95,
    ci_kind: IntervalKind = "eti",
    ml: bool = False,
    draws: int = 500,
    tune: int = 300,
    chains: int = 4,
    stop_mcse: float | None = None,
    batch: int = 50,
    executor: Executor | None = None,
    path: str | PathLike[str] | None = None,
    random_seed: int | None = None,
    progress: bool = True,
    **options: Any,
) -> StudyResult:
    """Simulate and fit a model many times: power, bias, coverage and convergence by design.

    Every replication draws a data set with :meth:`bayes_msem.Model.simulate`, declares the model
    anew on it and samples its posterior. Priors that were given to ``model`` are used as they are;
    default priors are those of the new data, as they will be in the study that is planned.

    Parameters
    ----------
    model
        The model. Its outcomes do not matter; clusters and rows of new data draw their covariates
        from its data.
    values
        True values of all free rows, as in :meth:`bayes_msem.Model.simulate`.
    clusters
        Numbers of clusters, each at least 2. Not in single-level models.
    sizes
        Rows per cluster. In single-level models: numbers of rows. Every number of clusters is
        crossed with every size; a pair is a cell.
    replications
        Data sets per cell.
    targets
        Rows to report, by key, text or label, as in :attr:`bayes_msem.Fit.draws`; definitions by
        name. None: all free rows and definitions.
    rope
        Region of practical equivalence ``(lower, upper)``, for all targets or by target: the table
        has the share of intervals that lie inside.
    ci, ci_kind
        Mass and kind ("eti" or "hdi") of the interval.
    ml
        Also report maximum likelihood (``model.mode(prior=False)``) with normal intervals, on the
        same data sets.
    draws, tune, chains
        As in :meth:`bayes_msem.Model.fit`. The defaults are smaller than there; ``result.cells``
        says whether they were enough.
    stop_mcse
        Stop a cell as soon as the Monte Carlo error of the power of every target (of both
        methods) is at most this. None: all cells have ``replications``.
    batch
        With ``stop_mcse``: replications of a cell between two looks at its errors.
    executor
        Runs replications side by side, one task each: ``ProcessPoolExecutor``, that of Dask
        (``client.get_executor()``) or of mpi4py, threads. None: one after the other. The result
        is the same.
    path
        CSV file with the finished replications. If it is there and holds this study, only what is
        missing is computed, so an interrupted study goes on, and one can be given more cells and
        replications. None: nothing is written.
    random_seed
        Seed; None draws a new one, or takes that of the file at ``path``.
    progress
        Show a progress bar.
    **options
        Passed to :meth:`bayes_msem.Model.fit`, such as ``target_accept=0.95``.

    Returns
    -------
    StudyResult
        With ``table``, ``cells``, ``replications``, ``plot()`` and ``save()``.

    Raises
    ------
    SpecificationError
        Unknown targets, incomplete values, or cells whose data the model cannot be declared on;
        before anything is fitted.
    FileError
        The file at ``path`` holds another study, or cannot be written.

    Warns
    -----
    AccuracyWarning
        Some replications failed; says how many and why. They are in no figure but counted.
        Warnings of single fits are not shown: ``result.cells`` counts what they are about.

    References
    ----------
    Morris, T. P., White, I. R., & Crowther, M. J. (2019). Using simulation studies to evaluate
    statistical methods. Statistics in Medicine, 38, 2074-2102. https://doi.org/10.1002/sim.8086

    Examples
    --------
    >>> import bayes_msem as bm
    >>> model = bm.Model('''
    ...     level: within
    ...         mach ~ b*cses
    ...     level: between
    ...         mach ~ sector
    ... ''', data=bm.load_dataset("hsb"), cluster="school")
    >>> truth = model.mode()
    >>> found = bm.study(
    ...     model, truth, clusters=[10, 20, 40], sizes=[5, 15], targets=["b", "mach ~ sector"]
    ... )  # doctest: +SKIP
    >>> found.plot()  # doctest: +SKIP
    >>> bm.study(model, truth, clusters=10, sizes=5, targets=["mach ~ sectr"])
    Traceback (most recent call last):
    bayes_msem.spec.row_names.UnknownRowError: targets: no row 'mach ~ sectr'; did you mean ...
    """
    place = place_of(path)
    cells = cells_of(model, clusters, sizes)
    known = targets_of(model, values, targets)
    ropes = read_ropes(rope, known)
    settings = sampler_settings(options, executor, draws=draws, tune=tune, chains=chains)
    design = StudyDesign(
        model=model,
        values=check_values(model, values),
        targets=known,
        ci=ci,
        ci_kind=ci_kind,
        ml=ml,
        settings=settings,
        seed=seed_for(random_seed, place),
    )
    if stop_mcse is not None and not any(target.may_be_zero for target in known):
        raise SpecificationError("stop_mcse= is about power, and none of the targets has one")
    stored = StudyFile(place, design.record())
    check_analysable(design, cells)
    made: dict[Cell, int] = {}
    with progress_bar(progress, len(cells) * replications) as advance, one_by_one.quiet():
        first, todo = 0, list(cells)
        while todo and first < replications:
            last = replications if stop_mcse is None else min(first + batch, replications)
            tasks = [(c, i) for i in range(first, last) for c in todo]
            compute_missing(
                partial(_compute, design), tasks, lambda t: _key(*t), executor, stored, advance
            )
            made |= dict.fromkeys(todo, last)
            first = last
            if stop_mcse is not None:
                todo = [c for c in todo if _power_error(stored, c, last, design) > stop_mcse]
    stored.write()
    keys = [_key(cell, i) for cell in cells for i in range(made[cell])]
    result = StudyResult(stored.frame(keys), design.record(), cells, known, ropes)
    total = int(result.cells["done"].sum() + result.cells["failed"].sum())
    tell_failures(result.replications, total, ".cells")
    return result


def _compute(design: StudyDesign, task: tuple[Cell, int]) -> list[dict[str, Any]]:
    return one_by_one.replicate(design, *task)


def _key(cell: Cell, replication: int) -> Key:
    return cell.clusters, cell.size, replication


def _power_error(stored: StudyFile, cell: Cell, replications: int, design: StudyDesign) -> float:
    """Largest Monte Carlo error of a power in one cell; infinite if nothing was done."""
    hits: dict[tuple[str, str], list[bool]] = {}
    for i in range(replications):
        for line in stored.lines[_key(cell, i)]:
            excludes = line["lower"] > 0 or line["upper"] < 0
            hits.setdefault((line["method"], line["target"]), []).append(excludes)
    wanted = [t.name for t in design.targets if t.may_be_zero]
    methods = ("Bayes", "ML") if design.ml else ("Bayes",)
    found = (hits.get((method, name), []) for method in methods for name in wanted)
    return max(share_error(sum(h), len(h)) if h else float("inf") for h in found)
