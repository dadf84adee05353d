"""What studies and calibrations share: their arguments, their file, and the run itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_msem import disk
from bayes_msem.arguments import shown
from bayes_msem.errors import (
    INSIDE,
    AccuracyWarning,
    FileError,
    NotSupportedError,
    SpecificationError,
)
from bayes_msem.inference.options import check_fit_options
from bayes_msem.inference.seeds import seed_of
from bayes_msem.model import Model
from bayes_msem.model.group_model import GroupModel
from bayes_msem.model.one_group import OneGroup
from bayes_msem.studies.replications import replicated
from bayes_msem.studies.study_file import STUDY, Sheet, StudyFile, read_study
from bayes_msem.wording import plural

__all__ = [
    "a_model",
    "an_executor",
    "compute_missing",
    "place_of",
    "progress_bar",
    "sampler_settings",
    "seed_for",
    "tell_failures",
]


def a_model(name: str, value: Any) -> Model:
    """Check an argument that must be a model."""
    if not isinstance(value, Model):
        raise SpecificationError(f"{name} must be a bayes_msem.Model, got {shown(value)}")
    if isinstance(value, GroupModel | OneGroup):
        raise NotSupportedError(
            "studies and calibration of models of several groups are not there yet: new clusters "
            "would need a group each; study a model of the rows of one group"
        )
    return value


def an_executor(name: str, value: Any) -> Any:
    """Check an argument that must be an executor."""
    if not callable(getattr(value, "submit", None)):
        raise SpecificationError(
            f"{name}={shown(value)} cannot run anything: it needs to be a "
            "concurrent.futures.Executor, such as ProcessPoolExecutor(4)"
        )
    return value


def place_of(path: Any, sheet: Sheet = STUDY) -> Path | None:
    """Check where a file is to be written; it may be there already."""
    if path is None:
        return None
    place = disk.as_path(path)
    disk.check_suffix(place, (".csv",), f"A {sheet.word} is written as CSV.")
    disk.check_free(place, overwrite=True)
    if place.is_dir():
        raise FileError(f"cannot write '{place}': it is a folder; choose another path")
    return place


def seed_for(random_seed: int | None, place: Path | None, sheet: Sheet = STUDY) -> int:
    """Return the seed given, that of the file, or a new one."""
    if random_seed is None and place is not None and place.exists():
        return seed_of(read_study(place, sheet)[0].get("random_seed"))
    return seed_of(random_seed)


def sampler_settings(
    options: dict[str, Any], executor: Executor | None, **numbers: int
) -> dict[str, Any]:
    """Return what every fit is given; one that runs beside others uses one core."""
    chosen = check_fit_options(options)
    chosen.setdefault("cores", None if executor is None else 1)
    return {**numbers, **chosen}


def compute_missing[Task](
    compute: Callable[[Task], list[dict[str, Any]]],
    tasks: Sequence[Task],
    key: Callable[[Task], tuple[int, ...]],
    executor: Executor | None,
    stored: StudyFile,
    advance: Callable[[int], None],
) -> None:
    """Compute what is not stored yet; whatever ends this, what is finished is written."""
    missing = [task for task in tasks if key(task) not in stored.lines]
    advance(len(tasks) - len(missing))

    def keep(task: Task, lines: list[dict[str, Any]]) -> None:
        stored.keep(key(task), lines)
        advance(1)

    try:
        replicated(compute, missing, executor, keep)
    finally:
        stored.write()


def tell_failures(replications: pd.DataFrame, total: int, where: str) -> None:
    """Warn of replications that failed, with the reason that most of them have."""
    failed = replications[replications["failure"] != ""]
    if failed.empty:
        return
    reasons = failed["failure"].value_counts()
    warnings.warn(
        f"{len(failed)} of {plural(total, 'replication')} failed and are in no figure; most often "
        f"({reasons.iloc[0]}): {reasons.index[0]}. See {where} and the column failure of "
        ".replications",
        AccuracyWarning,
        skip_file_prefixes=INSIDE,
    )


@contextmanager
def progress_bar(shown_at_all: bool, total: int) -> Iterator[Callable[[int], None]]:
    """Progress bar; gives a function that moves it."""
    if not shown_at_all:
        yield lambda steps: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("replications", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("", total=total)
        yield lambda steps: bar.advance(task, steps)
