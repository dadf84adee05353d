"""Tables one can publish."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, Literal

from bayes_msem import disk
from bayes_msem.arguments import checked, choice, integer, rows
from bayes_msem.fit.estimates import Estimates
from bayes_msem.plotting.select import RowSelector, select_rows
from bayes_msem.plotting.table_documents import docx_bytes, require, to_docx, to_great_table
from bayes_msem.plotting.table_formats import html_page, to_html, to_latex, to_markdown
from bayes_msem.posterior.published import Estimate, published_table
from bayes_msem.posterior.summary import IntervalKind

__all__ = ["Publishing"]

Style = Literal["apa"]
Format = Literal["markdown", "latex", "html", "docx", "great_tables"]

_SUFFIXES: dict[str, tuple[str, ...]] = {
    "markdown": (".md", ".qmd"),
    "latex": (".tex",),
    "html": (".html", ".htm"),
    "docx": (".docx",),
    "great_tables": (".html", ".htm"),
}
_BY_SUFFIX = {
    suffix: name for name, every in _SUFFIXES.items() for suffix in every if name != "great_tables"
}
_MOST_DECIMALS = 8


class Publishing(Estimates):
    """The part of :class:`bayes_msem.Fit` that makes tables for publication."""

    @checked(
        style=choice(Style),
        format=choice(Format),
        estimate=choice(Estimate),
        rows=rows,
        decimals=integer(0, _MOST_DECIMALS),
    )
    def to_table(
        self,
        path: str | PathLike[str] | None = None,
        *,
        style: Style = "apa",
        format: Format | None = None,
        estimate: Estimate = "mean",
        standardized: bool = False,
        level: str | None = None,
        rows: Sequence[RowSelector] | RowSelector | None = None,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        decimals: int = 2,
        title: str | None = None,
        overwrite: bool = False,
    ) -> Any:
        r"""Make a table of the estimates that can be published, and write it to a file.

        Parameters
        ----------
        path
            Where to write; None: nowhere.
        style
            "apa": headings by level and kind, three rules, notes below.
        format
            "markdown", "latex" (with the package booktabs), "html", "docx" (Word, needs
            python-docx) or "great_tables" (a ``GT`` to style further, needs great_tables). None:
            what the suffix of ``path`` says, Markdown without one.
        estimate
            "mean" or "median". With means, skewed posteriors are marked.
        standardized
            Whether to add standardised estimates and R-squared.
        level, rows
            Rows to show, as in :meth:`plot_forest`; None: all.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the intervals.
        decimals
            Decimals, from 0 to 8. Groups of rows whose smallest posterior SD would vanish have
            more.
        title
            Heading; None: "Posterior estimates".
        overwrite
            Replace the file at ``path``.

        Returns
        -------
        str, docx.document.Document or great_tables.GT
            The table. Notebooks show the texts in Markdown and HTML as tables. In files, HTML is a
            whole page.

        Raises
        ------
        SpecificationError
            Unknown style, format, level or row.
        NotSupportedError
            The package that a format needs is not installed.
        FileError
            ``path`` exists and ``overwrite`` is False, its suffix is not that of the format, or it
            cannot be written.

        Examples
        --------
        >>> print(fit.to_table(rows="regression", level="between", title="Sectors"))
        *Sectors*
        <BLANKLINE>
        | Parameter | Estimate | SD | 95% CrI |
        | :-- | --: | --: | --: |
        | **Between clusters** |  |  |  |
        | *Regressions* |  |  |  |
        | sector → mach | 2.76 | 0.47 | [1.85, 3.67] |
        | sector → slope | −1.35 | 0.26 | [−1.80, −0.85] |
        <BLANKLINE>
        *Note.* N = 7,185 in J = 160 clusters (school) of 14 to 67 (median 47)...
        >>> fit.to_table("table.tex", standardized=True).splitlines()[1]
        '\\begin{table}'
        """
        target = None if path is None else disk.as_path(path)
        chosen = _format(format, target)
        if target is not None:
            others = "Other formats: .md, .tex, .html and .docx."
            disk.check_suffix(target, list(_SUFFIXES[chosen]), others)
            disk.check_free(target, overwrite)
        if chosen in ("docx", "great_tables"):
            require(chosen)
        posterior = self.datatree["posterior"]
        content = published_table(
            self.model.blueprint,
            self.summary(ci, ci_kind=ci_kind, standardized=standardized),
            select_rows(self.model.table, level, rows),
            self.convergence,
            chains=posterior.sizes["chain"],
            draws=posterior.sizes["draw"],
            sampler=str(self.datatree.attrs.get("sampler", "unknown sampler")),
            estimate=estimate,
            decimals=decimals,
            title="Posterior estimates" if title is None else title,
        )
        makers = {
            "markdown": to_markdown,
            "latex": to_latex,
            "html": to_html,
            "docx": to_docx,
            "great_tables": to_great_table,
        }
        made = makers[chosen](content)
        if target is not None:
            disk.write(target, [_bytes(chosen, made)], overwrite=overwrite)
        return made


def _format(asked: str | None, target: Any) -> str:
    if asked is not None or target is None:
        return asked or "markdown"
    return _BY_SUFFIX[disk.check_suffix(target, list(_BY_SUFFIX), "")]


def _bytes(chosen: str, made: Any) -> bytes:
    if chosen == "docx":
        return docx_bytes(made)
    text = made.as_raw_html() if chosen == "great_tables" else str(made)
    if chosen in ("html", "great_tables"):
        text = html_page(text)
    return text.encode(errors="xmlcharrefreplace")
