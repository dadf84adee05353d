"""What data sets there are, where each comes from, and how to load them."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bayes_msem.arguments import anything, checked, shown
from bayes_msem.datasets import (
    simulate_belonging,
    simulate_school_classes,
    simulate_team_performance,
    simulate_wellbeing,
)
from bayes_msem.datasets.simulate_school_climate import TRUE_VALUES
from bayes_msem.errors import DataError, nearest

__all__ = ["Dataset", "describe_dataset", "list_datasets", "load_dataset"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Provenance of one data set.

    Parameters
    ----------
    name
        Name to load it by.
    title
        What it is, in one sentence.
    cluster
        Column with the cluster identifiers.
    source
        Citation, and where the file was taken from.
    licence
        Terms under which the file is passed on.
    columns
        Meaning of each column, in order.
    true_values
        For simulated data, the values behind them, by (level, lhs, op, rhs), and group if there are
        groups.
    top
        Column of the larger clusters in which clusters lie; empty where there are none.
    """

    name: str
    title: str
    cluster: str
    source: str
    licence: str
    columns: Mapping[str, str]
    true_values: Mapping[Any, float] = field(default_factory=dict)
    top: str = ""

    def __str__(self) -> str:
        """Return all of it as text, columns one a line."""
        width = max(map(len, self.columns))
        nested = f" in {self.top}" if self.top else ""
        lines = [f"{self.name}: {self.title}", f"cluster: {self.cluster}{nested}"]
        lines += [f"source: {self.source}", f"licence: {self.licence}", "columns:"]
        lines += [f"  {name:<{width}}  {meaning}" for name, meaning in self.columns.items()]
        return "\n".join(lines)


def _items(prefix: str, count: int, meaning: str) -> dict[str, str]:
    return {f"{prefix}{i:02d}": f"{meaning}, item {i}" for i in range(1, count + 1)}


_CATALOGUE = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="hsb",
            title="Mathematics achievement of 7,185 students in 160 schools (USA, 1982)",
            cluster="school",
            source=(
                "High School and Beyond, 1982 (US National Center for Education Statistics), as "
                "used by Raudenbush, S. W., & Bryk, A. S. (2002). Hierarchical linear models "
                "(2nd ed.). Sage. From MathAchieve and MathAchSchool of the R package nlme."
            ),
            licence=(
                "GPL-2.0-or-later, as the R package nlme that distributes this subset of public "
                "data of the US government"
            ),
            columns={
                "school": "school, 160 identifiers",
                "mach": "mathematics achievement",
                "ses": "socio-economic status of the student's family",
                "meanses": "mean ses of the school, of all its students (not only those here)",
                "sector": "0 = public school, 1 = Catholic school",
                "minority": "1 = member of a minority",
                "female": "1 = female",
                "cses": "ses minus the mean ses of the students of the school in these data",
            },
        ),
        Dataset(
            name="lq2002",
            title="Leadership climate and hostility of 2,042 soldiers in 49 companies (US Army)",
            cluster="COMPID",
            source=(
                "Bliese, P. D., Halverson, R. R., & Schriesheim, C. A. (2002). Benchmarking "
                "multilevel methods in leadership: The articles, the model, and the data set. "
                "The Leadership Quarterly, 13(1), 3-14. "
                "https://doi.org/10.1016/S1048-9843(01)00101-1. From lq2002 of the R package "
                "multilevel; collected by the US Army."
            ),
            licence="GPL-2.0-or-later, as the R package multilevel that distributes the data",
            columns={
                "COMPID": "company, 49 identifiers",
                "SUB": "soldier, 1 to 2042",
                **_items("LEAD", 11, "leadership climate, 1 to 5"),
                **_items("TSIG", 3, "task significance, 1 to 5"),
                **_items("HOSTIL", 5, "hostility, 0 to 4"),
            },
        ),
        Dataset(
            name="school_climate",
            title="Simulated: climate perceived by students in 30 schools, and teacher retention",
            cluster="school",
            source="Simulated by bayes_msem.datasets.simulate_school_climate (seed 20240914).",
            licence="MIT, as the package",
            columns={
                "school": "school, 30 identifiers, one school with a single student",
                "safety": "climate indicator: feeling safe",
                "respect": "climate indicator: being treated with respect",
                "support": "climate indicator: support by teachers",
                "fairness": "climate indicator: fair rules",
                "ses": "socio-economic status of the student's family (varies at both levels)",
                "urban": "1 = urban school (cluster-level covariate)",
                "retention": "teachers who stay, per cent (cluster-level outcome)",
            },
            true_values=TRUE_VALUES,
        ),
        Dataset(
            name="wellbeing",
            title="Simulated: wellbeing of employees in 60 teams; values missing at both levels",
            cluster="team",
            source="Simulated by bayes_msem.datasets.simulate_wellbeing (seed 20251107).",
            licence="MIT, as the package",
            columns={
                "team": "team, 60 identifiers, one team with a single employee",
                "energy": "wellbeing indicator: having energy (complete)",
                "focus": "wellbeing indicator: being able to focus",
                "calm": "wellbeing indicator: feeling calm",
                "joy": "wellbeing indicator: enjoying work",
                "trust": "wellbeing indicator: trusting colleagues",
                "ease": "wellbeing indicator: feeling at ease",
                "workload": "workload of the employee, standardised (complete)",
                "coaching": "1 = the team has a coach (cluster-level covariate, complete)",
                "turnover": "turnover of the team, per cent a year (cluster-level outcome)",
            },
            true_values=simulate_wellbeing.TRUE_VALUES,
        ),
        Dataset(
            name="team_performance",
            title="Simulated: autonomy and engagement of members, performance of 90 teams",
            cluster="team",
            source="Simulated by bayes_msem.datasets.simulate_team_performance (seed 20251112).",
            licence="MIT, as the package",
            columns={
                "team": "team, 90 identifiers",
                "autonomy": "autonomy that a member reports (varies at both levels)",
                "engagement": "engagement of a member (varies at both levels)",
                "performance": "rated performance of the team (cluster-level outcome)",
            },
            true_values=simulate_team_performance.TRUE_VALUES,
        ),
        Dataset(
            name="school_classes",
            title="Simulated: mathematics of 2,438 pupils in 161 classes in 40 schools",
            cluster="class",
            source="Simulated by bayes_msem.datasets.simulate_school_classes (seed 20251130).",
            licence="MIT, as the package",
            columns={
                "school": "school, 40 identifiers (the highest of three levels)",
                "class": "class, 161 identifiers, each in one school",
                "urban": "1 = urban school",
                "experience": "experience of the class's teacher, standardised",
                "support": "observed support by the teacher (outcome of classes, some missing)",
                "ses": "socio-economic status of the pupil's family minus the mean of the class",
                "effort": "effort of the pupil (varies at all levels)",
                "math": "mathematics score (varies at all levels, some missing)",
            },
            true_values=simulate_school_classes.TRUE_VALUES,
            top="school",
        ),
        Dataset(
            name="belonging",
            title="Simulated: belonging at school in three countries of 20 schools each",
            cluster="school",
            source="Simulated by bayes_msem.datasets.simulate_belonging (seed 20251130).",
            licence="MIT, as the package",
            columns={
                "country": "country A, B or C; schools lie inside countries",
                "school": "school, 60 identifiers",
                "welcome": "belonging indicator: feeling welcome",
                "friends": "belonging indicator: having friends",
                "fit": "belonging indicator: fitting in",
                "voice": "belonging indicator: being heard (translated differently in C)",
            },
            true_values=simulate_belonging.TRUE_VALUES,
        ),
    )
}


@checked()
def list_datasets() -> tuple[str, ...]:
    """Return the names of all data sets that :func:`load_dataset` knows.

    Examples
    --------
    >>> list_datasets()[:5]
    ('hsb', 'lq2002', 'school_climate', 'wellbeing', 'team_performance')
    """
    return tuple(_CATALOGUE)


@checked(name=anything)
def describe_dataset(name: str) -> Dataset:
    """Return source, licence and columns of a data set.

    Parameters
    ----------
    name
        One of :func:`list_datasets`.

    Raises
    ------
    DataError
        If there is no such data set; the message lists the names.

    Examples
    --------
    >>> describe_dataset("hsb").cluster
    'school'
    """
    if not isinstance(name, str) or name not in _CATALOGUE:
        names = ", ".join(f"'{known}'" for known in _CATALOGUE)
        hint = nearest(name, _CATALOGUE) if isinstance(name, str) else ""
        raise DataError(f"there is no data set {shown(name)}, only {names}{hint}")
    return _CATALOGUE[name]


@checked(name=anything)
def load_dataset(name: str) -> pd.DataFrame:
    """Load an example data set.

    Parameters
    ----------
    name
        One of :func:`list_datasets`.

    Returns
    -------
    pandas.DataFrame
        One row per observation; ``attrs`` holds its name, title, cluster column,
        source and licence. A fresh copy at each call.

    Raises
    ------
    DataError
        If there is no such data set; the message lists the names.

    Examples
    --------
    >>> load_dataset("lq2002").shape
    (2042, 21)
    """
    dataset = describe_dataset(name)
    file = importlib.resources.files("bayes_msem.datasets").joinpath(f"{name}.csv.gz")
    with file.open("rb") as stream:
        frame = pd.read_csv(stream, compression="gzip")
    for key in ("name", "title", "cluster", "source", "licence"):
        frame.attrs[key] = getattr(dataset, key)
    return frame
