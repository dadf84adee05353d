"""Replications: one data set simulated, analysed and reduced to a few numbers; many by an executor.

Invariants: what a replication returns depends on the design, the cell and its number alone, and not
on who computes it (but for the CPU seconds). A replication that fails says why, and is a row like
any other.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from pickle import PicklingError
from typing import Any

import numpy as np
from scipy.special import ndtri

from bayes_msem.errors import MsemWarning, SpecificationError
from bayes_msem.inference.interrupt import all_or_nothing
from bayes_msem.model import Model
from bayes_msem.posterior.enough import sd_of_draws
from bayes_msem.posterior.summary import interval
from bayes_msem.studies.study_design import Cell, StudyDesign, model_on

__all__ = ["COLUMNS", "Line", "attempted", "complete", "quiet", "replicate", "replicated"]

COLUMNS = {
    **dict.fromkeys(("clusters", "size", "replication"), "int64"),
    **dict.fromkeys(("method", "target"), "object"),
    **dict.fromkeys(("estimate", "sd", "lower", "upper"), "float64"),
    **dict.fromkeys(("seconds", "max_r_hat", "divergences"), "float64"),
    "failure": "object",
}
"""Columns of the stored replications: one row per replication, method and target."""

Line = dict[str, Any]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings of single fits from being shown; the study counts what they are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        yield


def replicated[Task](
    compute: Callable[[Task], list[Line]],
    tasks: Sequence[Task],
    executor: Executor | None,
    keep: Callable[[Task, list[Line]], None],
) -> None:
    """Compute replications, and hand each to ``keep`` as soon as it is there.

    Parameters
    ----------
    compute
        Computes one task; it can be sent to other processes.
    tasks
        What names each replication.
    executor
        Runs them, one task each; None: one after the other, here.
    keep
        Called in this process, in the order of the tasks.

    Raises
    ------
    SpecificationError
        The executor's processes cannot be sent the model.
    """
    if executor is None:
        for task in tasks:
            keep(task, compute(task))
        return
    futures = [executor.submit(compute, task) for task in tasks]
    try:
        for task, future in zip(tasks, futures, strict=True):
            keep(task, future.result())
    except (PicklingError, AttributeError, TypeError) as error:
        if "pickle" not in str(error).lower():
            raise
        raise SpecificationError(
            "executor= sends the model and its data to other processes, and one of these cannot "
            f"be sent ({error})"
        ) from error
    finally:
        for future in futures:
            future.cancel()


def replicate(design: StudyDesign, cell: Cell, number: int) -> list[Line]:
    """Simulate and analyse one data set.

    Returns
    -------
    list
        Rows with the columns of ``COLUMNS``.
    """
    data_seed, sampler_seed = design.seeds(cell, number)
    methods: dict[str, Callable[[StudyDesign, Model, int], list[Line]]] = {"Bayes": _bayes}
    if design.ml:
        methods["ML"] = _maximum_likelihood
    lines: list[Line] = []
    for method, analyse in methods.items():

        def found(analyse: Callable[[StudyDesign, Model, int], list[Line]] = analyse) -> list[Line]:
            model = model_on(design.model, design.simulate(cell, data_seed))
            return analyse(design, model, sampler_seed)

        shared = {
            "clusters": cell.clusters,
            "size": cell.size,
            "replication": number,
            "method": method,
        }
        lines += [complete(shared | line, COLUMNS) for line in attempted(found)]
    return lines


def attempted(analyse: Callable[[], list[Line]]) -> list[Line]:
    """Analyse one data set; where that fails, say why. CPU seconds are added to the rows."""
    # Filters of warnings belong to a process: its threads leave them to whoever started the study.
    # So does the clock, which tells nothing about one of its threads.
    alone = threading.current_thread() is threading.main_thread()
    start = time.process_time()
    try:
        with all_or_nothing(), quiet() if alone else nullcontext():
            lines = analyse()
    except Exception as error:  # whatever it is, the study counts it and says so
        text = " ".join(str(error).split())
        lines = [{"target": "", "failure": f"{type(error).__name__}: {text}"}]
    seconds = time.process_time() - start if alone else np.nan
    return [line | {"seconds": seconds} for line in lines]


def complete(line: Line, columns: Mapping[str, str]) -> Line:
    """Fill in what a method does not have."""
    empty = {"object": "", "float64": np.nan}
    return {name: line[name] if name in line else empty[kind] for name, kind in columns.items()}


def _bayes(design: StudyDesign, model: Model, random_seed: int) -> list[Line]:
    fit = model.fit(**design.settings, random_seed=random_seed, progress=False)
    values = np.stack([fit.draws[target.key] for target in design.targets], axis=-1)
    _check_numbers(design, values.sum(axis=(0, 1)), "some draws are")
    lower, upper = interval(values, design.ci, design.ci_kind)
    numbers = {
        "estimate": np.median(values, axis=(0, 1)),
        "sd": sd_of_draws(values, (0, 1)),
        "lower": lower,
        "upper": upper,
    }
    convergence = fit.convergence
    about = {"max_r_hat": convergence.max_r_hat, "divergences": float(convergence.divergences)}
    return _by_target(design, numbers, about)


def _maximum_likelihood(design: StudyDesign, model: Model, random_seed: int) -> list[Line]:
    mode = model.mode(prior=False)
    if not mode.converged:
        raise RuntimeError("no maximum of the likelihood was found")
    keys = [target.key for target in design.targets]
    estimate = np.array([mode[key] for key in keys])
    sd = np.array([mode.standard_errors.get(key, np.nan) for key in keys])
    _check_numbers(design, estimate + sd, "its estimate or standard error is")
    half = ndtri((1 + design.ci) / 2) * sd
    numbers = {"estimate": estimate, "sd": sd, "lower": estimate - half, "upper": estimate + half}
    return _by_target(design, numbers, {})


def _check_numbers(design: StudyDesign, values: Any, what: str) -> None:
    bad = [t.name for t, v in zip(design.targets, values, strict=True) if not np.isfinite(v)]
    if bad:
        raise ValueError(f"{bad[0]}: {what} not a finite number")


def _by_target(design: StudyDesign, numbers: dict[str, Any], about: Line) -> list[Line]:
    return [
        {"target": target.name, **{name: float(v[i]) for name, v in numbers.items()}, **about}
        for i, target in enumerate(design.targets)
    ]
