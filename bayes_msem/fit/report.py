"""The report: all that is worth knowing about a fit on one page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from os import PathLike
from pathlib import Path

import pandas as pd

from bayes_msem import disk
from bayes_msem.arguments import checked
from bayes_msem.checking.predictive.p_values import p_values
from bayes_msem.display import describe_data, roles_in_words, scales_of_priors
from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.fit.check_figures import CheckFigures
from bayes_msem.fit.cluster_effects import Clusters
from bayes_msem.fit.cluster_figures import ClusterFigures
from bayes_msem.fit.estimates import Estimates
from bayes_msem.fit.row_figures import RowFigures
from bayes_msem.fit.solutions import Solutions
from bayes_msem.plotting.report_page import (
    PageSection,
    absent,
    bullets,
    facts,
    page,
    paragraph,
    picture,
    preformatted,
    scrolling,
    vector,
)
from bayes_msem.posterior.convergence import R_HAT_LIMIT, told_apart
from bayes_msem.posterior.rows_shown import varies, worst_mixed
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.spec.printing import to_syntax
from bayes_msem.spec.table import RowKey

# What keeps the page small. Whatever is shortened says so on the page.
_TABLE_ROWS = 200  # of any table
_CLUSTERS_LISTED = 10  # per effect, in the table of cluster effects
_FOREST_ROWS, _PRIOR_ROWS, _TRACE_ROWS = 60, 24, 12
_CLUSTERS_DRAWN = 80
_REPLICATES = 400  # of the data, for the model checks
_DIAGRAM_SIZE = 400_000  # characters of SVG


class Report(Estimates, Solutions, Clusters, CheckFigures, RowFigures, ClusterFigures):
    """The part of :class:`bayes_msem.Fit` that reports all of it."""

    @checked()
    def report(
        self,
        path: str | PathLike[str],
        *,
        title: str | None = None,
        overwrite: bool = False,
        checks: bool = True,
    ) -> Path:
        """Write model, data, convergence, tables and figures to one HTML file.

        The file needs no other file and no network: it can be sent, archived and printed. It
        holds no date, so the same fit gives the same report. Long tables and figures are
        shortened, and say so. It shows estimates of single clusters with their identifiers.

        Parameters
        ----------
        path
            Where to write; ends in ``.html`` or ``.htm``.
        title
            Heading; None: one that says what kind of model it is.
        overwrite
            Replace the file at ``path``. Until the new one is complete, the old one stays.
        checks
            Whether to compare the data with 400 replicates of them (or as many as there are
            draws). This is a second's work for small data, and grows with them.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        FileError
            ``path`` exists and ``overwrite`` is False, has another suffix, or cannot be written.

        Examples
        --------
        >>> fit.report("report.html", title="Math achievement", checks=False).name
        'report.html'
        """
        target = disk.as_path(path)  # before the work, not after it
        otherwise = "For PDF or paper, open the page in a browser and print it."
        disk.check_suffix(target, [".html", ".htm"], otherwise)
        disk.check_free(target, overwrite)
        kind = "Two-level" if self.model.table.two_level else "Single-level"
        heading = f"{kind} Bayesian structural equation model" if title is None else title
        text = page(heading, _header(self), list(_sections(self, checks)))
        content = text.encode(errors="xmlcharrefreplace")  # a title may hold half a character
        disk.write(target, [content], overwrite=overwrite)
        return target


def _sections(fit: Report, checks: bool) -> Iterator[PageSection]:
    two_level = fit.model.table.two_level
    yield PageSection("Convergence", _convergence(fit))
    yield PageSection("Model", _model(fit))
    yield PageSection("Data", _data(fit))
    yield PageSection("Path diagram", _diagram(fit))
    yield PageSection("Plan", preformatted(str(fit.model.plan), wrap=True))
    yield PageSection("Estimates", _available(lambda: _table(fit.summary())))
    yield PageSection("Standardised estimates", _available(lambda: _table(fit.standardized())))
    icc = "in a single-level model there are no intraclass correlations."
    yield PageSection(
        "Intraclass correlations",
        _available(lambda: _table(fit.icc(means=True))) if two_level else absent(icc),
    )
    yield PageSection("Explained variance", _available(lambda: _table(fit.r2())))
    yield PageSection("Reliability", _available(lambda: _table(fit.reliability())))
    none = "a single-level model has no cluster effects."
    yield PageSection(
        "Cluster effects", _available(lambda: _effects(fit)) if two_level else absent(none)
    )
    omitted = "report(checks=False) was asked for."
    yield PageSection(
        "Model checks", _available(lambda: _checks(fit)) if checks else absent(omitted)
    )
    yield PageSection("Priors", _priors(fit))
    yield PageSection("Figure: posterior means and intervals", _available(lambda: _forest(fit)))
    yield PageSection("Figure: prior and posterior", _available(lambda: _prior_posterior(fit)))
    yield PageSection("Figure: traces", _available(lambda: _trace(fit)))
    yield PageSection(
        "Figure: clusters", _available(lambda: _caterpillar(fit)) if two_level else absent(none)
    )


def _available(part: Callable[[], str]) -> str:
    """Make a part of the page, or state the reason that the fit gives for not having it."""
    try:
        return part()
    except (SpecificationError, NotSupportedError) as error:
        return absent(str(error))


# Text ---------------------------------------------------------------------------------------------


def _header(fit: Report) -> str:
    posterior, attributes = fit.datatree["posterior"], fit.datatree.attrs
    pairs = {
        "Fitted with": f"bayes_msem {attributes.get('bayes_msem_version', 'unknown version')}",
        "Reported with": f"bayes_msem {version('bayes_msem')}",
        "Sampler": attributes.get("sampler", "unknown"),
        "Random seed": attributes.get("random_seed", "unknown"),
        "Draws": f"{posterior.sizes['chain']} chains x {posterior.sizes['draw']} draws",
        "Data": describe_data(fit.model.blueprint.observed).removeprefix("Data: "),
    }
    return facts(pairs)


def _convergence(fit: Report) -> str:
    found = fit.convergence
    verdict = "The sampler had problems:" if found.problems else "No sign of trouble."
    numbers = {
        "Grade": found.grade,
        "Divergent transitions": found.divergences,
        "Largest R-hat": told_apart(found.max_r_hat, R_HAT_LIMIT, 3),
        "Smallest effective sample size": f"{found.min_ess:.0f}",
    }
    numbers = {name: "none" if value == "nan" else value for name, value in numbers.items()}
    problems = bullets(found.problems, "problem") if found.problems else ""
    advice = paragraph(found.advice) if found.advice else ""
    notes = bullets(found.notes) if found.notes else ""
    return f"{facts(numbers)}{paragraph(verdict)}{problems}{advice}{notes}"


def _model(fit: Report) -> str:
    full = preformatted(to_syntax(fit.model.table))
    fold = f"<details><summary>With all defaults written out</summary>{full}</details>"
    options = fit.model.options | {"cluster": fit.model.observed.cluster_name}
    options = {
        name: value
        for name, value in options.items()
        if name not in ("spec", "priors") and value is not None
    }
    return preformatted(fit.model.spec.strip("\n")) + fold + facts(options)


def _data(fit: Report) -> str:
    observed = fit.model.blueprint.observed
    summary = describe_data(observed).removeprefix("Data: ")
    roles = {role: ", ".join(names) for role, names in roles_in_words(fit.model.table).items()}
    lines = fit.model.missing.lines
    missing = preformatted("\n".join(lines)) if lines else paragraph("No missing values.")
    notes = fit.model.notes
    return "".join(
        [
            paragraph(f"{summary[0].upper()}{summary[1:]}."),
            "<h3>Variables</h3>",
            facts(roles),
            "<h3>Missing values</h3>",
            missing,
            f"<h3>Notes</h3>{bullets(notes)}" if notes else "",
        ]
    )


def _diagram(fit: Report) -> str:
    svg = fit.diagram().svg
    if len(svg) > _DIAGRAM_SIZE:
        return absent("the diagram is too large for this page; fit.diagram() draws it.")
    return paragraph("Posterior means. Boxes are observed, ellipses latent variables.") + vector(
        svg
    )


# Tables -------------------------------------------------------------------------------------------


def _table(table: EstimateTable) -> str:
    """Show a table with its caption; no more than _TABLE_ROWS rows."""
    shown = table.head(_TABLE_ROWS)
    with pd.option_context("display.max_rows", None, "display.max_columns", None):
        body = scrolling(shown._repr_html_())
    return _shortened(len(shown), len(table), "rows") + body


def _effects(fit: Report) -> str:
    table = fit.cluster_effects()
    first = table.groupby("effect", sort=False).cumcount() < _CLUSTERS_LISTED
    per_effect = fit.model.blueprint.observed.n_clusters
    note = _shortened(min(_CLUSTERS_LISTED, per_effect), per_effect, "clusters of each effect")
    return note + _table(table[first])


def _priors(fit: Report) -> str:
    parameters = fit.model.parameter_table
    columns = ["level", "lhs", "op", "rhs", "label", "free", "prior", "random"]
    table = EstimateTable(parameters.loc[parameters["prior"] != "", columns])
    head = "Rows with equal numbers under 'free' are one parameter. "
    return paragraph(head + scales_of_priors(parameters)) + _table(table)


def _checks(fit: Report) -> str:
    posterior = fit.datatree["posterior"]
    total = posterior.sizes["chain"] * posterior.sizes["draw"]
    made = fit.ppc(draws=min(_REPLICATES, total), keep=0)
    figure = fit.plot_ppc("statistics", check=made)
    what = "Histograms of discrepancies of replicated data, with those of the data"
    return _table(p_values(made)) + picture(figure, what)


# Figures ------------------------------------------------------------------------------------------


def _forest(fit: Report) -> str:
    keys = _varying(fit)
    shown = keys[:_FOREST_ROWS]
    figure = fit.plot_forest(rows=shown)
    note = _shortened(len(shown), len(keys), "rows that are not constant")
    return note + picture(figure, "Posterior means with 50% and 95% intervals of all parameters")


def _prior_posterior(fit: Report) -> str:
    priors = fit.model.blueprint.priors
    keys = [row.key for row in fit.model.table.rows if row.free in priors]
    shown = keys[:_PRIOR_ROWS]
    note = _shortened(len(shown), len(keys), "rows with a prior")
    figure = fit.plot_prior_posterior(rows=shown)
    return note + picture(figure, "Prior and posterior densities of single parameters")


def _trace(fit: Report) -> str:
    """Traces of those rows that mixed worst, in the order of the table."""
    keys = _varying(fit)
    worst = worst_mixed(keys, fit.draws, _TRACE_ROWS)
    note = (
        paragraph(
            f"The {len(worst)} of {len(keys)} rows with the smallest bulk effective sample size."
        )
        if len(worst) < len(keys)
        else ""
    )
    figure = fit.plot_trace(rows=worst)
    return note + picture(figure, "Posterior density and trace of every chain")


def _caterpillar(fit: Report) -> str:
    draws = fit.cluster_draws
    groups = (("effects", "effect"), ("factors", "between_factor"))
    every = [str(n) for variable, dim in groups if variable in draws for n in draws[dim].to_numpy()]
    names = list(dict.fromkeys(every))  # factors that are sampled are effects too
    clusters = [str(c) for c in draws["cluster_id"].to_numpy()]
    shown = clusters[:_CLUSTERS_DRAWN]
    others = ", ".join(names[1:])
    text = paragraph(f"Others to draw with fit.plot_clusters(): {others}.") if others else ""
    figure = fit.plot_clusters(names[0], cluster_ids=shown)
    note = _shortened(len(shown), len(clusters), "clusters")
    return text + note + picture(figure, f"Posterior mean and intervals of {names[0]} by cluster")


def _keys(fit: Report) -> list[RowKey]:
    return [row.key for row in fit.model.table.rows]


def _varying(fit: Report) -> list[RowKey]:
    """Rows of the parameter table that are not constants."""
    return [key for key in _keys(fit) if varies(fit.draws[key])]


def _shortened(shown: int, total: int, what: str) -> str:
    """Say that only the first are shown; empty if all are."""
    return paragraph(f"Shortened: the first {shown} of {total} {what}.") if shown < total else ""
