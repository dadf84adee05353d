"""What a study found: tables, figure, file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from bayes_msem.arguments import checked, choice, several
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.posterior.summary import INTERVAL_NAMES
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.studies.study_figures import FIGURES, cell_table, target_table
from bayes_msem.studies.study_file import save_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayes_msem.studies.study_design import Cell, Target

__all__ = ["StudyFigure", "StudyResult"]

StudyFigure = Literal["power", "coverage", "bias", "relative_bias", "rmse", "width", "in_rope"]

_SHOWN = ("bias", "rmse", "coverage", "power", "in_rope", "width")


@dataclass(frozen=True, eq=False)
class StudyResult:
    """What :func:`bayes_msem.study` found. Print it to see the most important columns.

    Attributes
    ----------
    replications
        One row per replication, method and target: clusters, size, replication, method, target,
        estimate (posterior median), sd, lower, upper, seconds, max_r_hat, divergences and failure
        (why a replication failed; else empty).
    design
        What was studied, in plain values: model text, values, settings, seed.

    Examples
    --------
    >>> bool((power_study.table["done"] == 40).all())
    True
    >>> power_study.replications["target"].unique().tolist()
    ['b', 'between: y ~ w', 'within: y ~~ y']
    """

    replications: pd.DataFrame
    design: Mapping[str, Any]
    _cells: Sequence[Cell] = field(repr=False)
    _targets: Sequence[Target] = field(repr=False)
    _ropes: Mapping[str, tuple[float, float]] = field(repr=False)

    @cached_property
    def table(self) -> EstimateTable:
        """Figures of every cell and target, each followed by its Monte Carlo error (``_mcse``).

        Columns clusters (two-level models), size, method, target, true, done; mean ``estimate``
        (of posterior medians), ``bias``, ``relative_bias``, ``sd_estimates``, ``rmse``,
        ``posterior_sd`` (mean), ``coverage`` of the interval, ``power`` (share of intervals that
        exclude 0; NaN for variances), ``in_rope`` (share inside the region of practical
        equivalence; NaN without one) and ``width``. Formulas stand in
        ``bayes_msem.studies.study_figures``.

        Examples
        --------
        >>> table = power_study.table
        >>> power = table[table["target"] == "b"].set_index(["clusters", "size"])["power"]
        >>> bool(power[40, 10] > power[10, 10])
        True
        """
        found = target_table(
            self.replications, self._cells, self._methods, self._targets, self._ropes
        )
        return self._captioned(found, f"{self._interval} {_CAPTION}")

    @cached_property
    def cells(self) -> EstimateTable:
        """Replications, convergence and time of every cell.

        Columns clusters, size, method, ``done``, ``failed``, ``r_hat_high`` (share of replications
        with an R-hat of 1.01 or more), ``divergent`` (share with divergences), their Monte Carlo
        errors, and ``seconds`` (CPU, mean of a replication; NaN if threads of one process computed
        them).

        Examples
        --------
        >>> power_study.cells["failed"].sum()
        np.int64(0)
        """
        found = cell_table(self.replications, self._cells, self._methods)
        caption = (
            "Replications done and failed; of those done, the shares with an R-hat of 1.01 or more "
            "and with divergences; CPU seconds of one."
        )
        return self._captioned(found, caption)

    @property
    def _methods(self) -> tuple[str, ...]:
        return ("Bayes", "ML") if self.design["ml"] else ("Bayes",)

    @property
    def _interval(self) -> str:
        return f"{100 * self.design['ci']:g}% {INTERVAL_NAMES[self.design['ci_kind']]}."

    def _captioned(self, frame: pd.DataFrame, caption: str) -> EstimateTable:
        if all(cell.clusters == 0 for cell in self._cells):
            frame = frame.drop(columns="clusters")
        result = EstimateTable(frame)
        result.attrs["caption"] = caption
        return result

    def _short(self) -> EstimateTable:
        """Return the most important figures, each as text with its error."""
        full = pd.DataFrame(self.table)
        columns = ("clusters", "size", "method", "target", "true")
        short = full[[c for c in columns if c in full and (c != "method" or self.design["ml"])]]
        short = short.assign(true=[f"{true:.3g}" for true in full["true"]])
        for name in _SHOWN:
            if full[name].notna().any():
                pairs = zip(full[name], full[f"{name}_mcse"], strict=True)
                short[name] = [_with_error(value, error) for value, error in pairs]
        about = f"{self._interval} In brackets: Monte Carlo standard errors. {_CAPTION}"
        result = EstimateTable(short)
        result.attrs["caption"] = about
        return result

    def __repr__(self) -> str:
        """Return the most important figures, and the table of the cells."""
        return f"{self._short()}\n\n{self.cells}"

    def _repr_html_(self) -> str:
        """Notebook display."""
        return f"{self._short()._repr_html_()}{self.cells._repr_html_()}"

    @checked(figure=choice(StudyFigure), targets=several)
    def plot(
        self,
        figure: StudyFigure = "power",
        *,
        targets: str | Sequence[str] | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Draw a figure of the table over the number of clusters, one line per size.

        Parameters
        ----------
        figure
            "power", "coverage", "bias", "relative_bias", "rmse", "width" or "in_rope".
        targets
            Names as in the table; None: all that have this figure.
        figsize
            Width and height in inches; None: what the panels need.

        Returns
        -------
        matplotlib.figure.Figure
            A panel per target; bars are plus and minus two Monte Carlo errors. Maximum likelihood
            is dashed. In single-level models, over the number of rows.

        Raises
        ------
        SpecificationError
            Unknown targets, or none that has this figure.

        Examples
        --------
        >>> figure = power_study.plot("coverage", targets="b")
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['b']
        """
        table = pd.DataFrame(self.table)
        known = list(dict.fromkeys(table["target"]))
        chosen = known if targets is None else [targets] if isinstance(targets, str) else targets
        for name in chosen:
            if name not in known:
                raise SpecificationError(
                    f"targets: {name!r} was not studied; the targets are {', '.join(known)}"
                    f"{nearest(str(name), known)}"
                )
        shown = table[table["target"].isin(chosen) & table[figure].notna()]
        if shown.empty:
            raise SpecificationError(
                f"there is no {figure} of {', '.join(chosen) or 'no target'}: power needs a "
                "quantity that may be zero, relative_bias one that is not zero, in_rope needs rope="
            )
        from bayes_msem.plotting.study_curves import study_curves

        line = self.design["ci"] if figure == "coverage" else None
        return study_curves(shown, figure, reference=line, figsize=figsize)

    @checked()
    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the replications, as ``path=`` of :func:`bayes_msem.study` does.

        Parameters
        ----------
        path
            CSV file; its first line holds the design, so that a study can go on from it.
        overwrite
            Whether to replace what stands there.

        Raises
        ------
        FileError
            The path is taken, or cannot be written to.

        Examples
        --------
        >>> power_study.save("power.csv")
        >>> import pandas as pd
        >>> len(pd.read_csv("power.csv", comment="#")) == len(power_study.replications)
        True
        """
        save_study(path, self.design, self.replications, overwrite=overwrite)


_CAPTION = (
    "Estimates are posterior medians (ML: estimates). power: share of intervals that exclude 0; "
    "where the true value is 0, that is the share of false findings. Failed replications are in no "
    "figure but counted in .cells."
)
assert set(_SHOWN) <= set(FIGURES)


def _with_error(value: float, error: float) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.3f}" if pd.isna(error) else f"{value:.3f} ({error:.3f})"
