"""What predictors that are coded ask of the rest of the text.

A dummy or a product is a number that is computed from observed columns before there is a model, and
conditioned on. So its columns may be nothing but predictors themselves: a product with a variable
that is modelled, or that is split into latent parts, would be a product of latent variables or of
outcomes, and is refused with the reason.

**Main effects.** ``x:z`` is how the slope of x changes with z only if x and z have effects of their
own. Where some are missing, a note says so; where a variable of categories is concerned the product
has two readings, so that is an error. The effect of a cluster-level variable may stand at level
between, since the outcome differs between clusters there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bayes_msem.errors import NotSupportedError, SpecificationError, nearest
from bayes_msem.spec.roles import LevelUse, level_use, line
from bayes_msem.spec.statements import Formula, ParsedModel, Part

__all__ = ["check_columns_of_terms", "check_same_effect", "main_effects"]


def check_columns_of_terms(
    parsed: ParsedModel, columns: Sequence[str], cluster: str | None
) -> None:
    """Raise unless every column inside a coded term is a column that nothing models.

    Parameters
    ----------
    parsed
        The statements, as they were read.
    columns
        Columns of the data.
    cluster
        The column that identifies clusters; None for single-level models.

    Raises
    ------
    SpecificationError
        A name that is no column, or the cluster column.
    NotSupportedError
        A column that is an outcome, an indicator, or used at both levels.
    """
    uses = tuple(level_use(parsed.formulas, level) for level in parsed.levels)
    for formula in parsed.formulas:
        for part in formula.term.parts:
            _check_column(part.column, formula, uses, columns, parsed, cluster)


def _check_column(
    name: str,
    formula: Formula,
    uses: Sequence[LevelUse],
    columns: Sequence[str],
    parsed: ParsedModel,
    cluster: str | None,
) -> None:
    term, at = formula.term.name, f"at level {formula.level} {line(formula)}"
    if parsed.is_cluster_column(name, cluster):
        raise SpecificationError(
            f"'{term}' {at} holds the cluster column '{name}', which only says which rows belong "
            "together; how clusters differ is what random intercepts and rv() slopes say"
        )
    if name not in columns:
        raise SpecificationError(
            f"unknown variable '{name}' in '{term}' {at}: no column of the data"
            f"{nearest(name, columns) or '.'} Correct the name"
        )
    reason = _modelled(name, uses)
    if reason:
        raise NotSupportedError(
            f"'{term}' {at} holds '{name}', which {reason}. A product or dummy is computed from "
            "columns that are conditioned on, so such a term would be an effect of a variable that "
            f"is modelled, which is not there yet. {_way_out(name, uses)}".rstrip()
        )


def _modelled(name: str, uses: Sequence[LevelUse]) -> str:
    """Say why a column is more than a predictor; empty if it is none."""
    for use in uses:
        if name in use.names and not use.is_pure_predictor(name):
            what = "is an outcome" if name in use.outcomes else "is an indicator of a factor"
            if use.is_exogenous(name):
                what = "has a variance, covariance or mean of its own in the text"
            return f"{what} (level {use.level})"
    if sum(name in use.names for use in uses) > 1:
        if len(uses) > 2:
            return "is used at several levels, and so split into a latent part at each of them"
        return "is used at both levels, and so split into latent within and between parts"
    return ""


def _way_out(name: str, uses: Sequence[LevelUse]) -> str:
    if not uses[1].names:
        return ""
    text = (
        f"Where the other variable belongs to clusters, let the slope of '{name}' vary and predict "
        f'it: y ~ rv("s")*{name} at level within, s ~ w at level {uses[1].level}.'
    )
    if all(use.is_pure_predictor(name) for use in uses):
        text += (
            f" To use the observed cluster means of '{name}' instead of latent ones, make two "
            f"columns, the means and data['{name}'] - means: one for each level"
        )
    return text


# Main effects ----------------------------------------------------------------------------------


def main_effects(parsed: ParsedModel, categories: Mapping[str, Sequence[str]]) -> list[str]:
    """Check that products stand beside the effects that they modify.

    Parameters
    ----------
    parsed
        The statements, as they were read.
    categories
        Labels of the columns that hold categories.

    Returns
    -------
    list of str
        Notes on products of numbers and dummies.

    Raises
    ------
    SpecificationError
        A product with all categories of a column, for which the missing effect decides the coding.
    """
    notes = []
    for formula, parts in _products(parsed):
        for part in parts:
            rest = tuple(p for p in parts if p is not part)
            if _has_effect(rest, formula, parsed):
                continue
            missing, term = ":".join(p.name for p in rest), formula.term.name
            where = f"'{formula.lhs} ~ {term}' {line(formula)}"
            if part.kind != "dummy" and part.column in categories:
                raise SpecificationError(
                    f"{where} has no effect of '{missing}' beside it, so '{term}' could mean one "
                    f"slope for each category of '{part.column}', or differences from the "
                    f"reference, whose slope is 0 then. Add '{missing}' to the predictors of "
                    f"'{formula.lhs}' ({missing} + {term}), or write the dummies out "
                    f"({_written(part, parts, categories)})"
                )
            notes.append(
                f"{where} is a product without the effect of '{missing}' beside it, so it is no "
                f"interaction: where '{part.column}' is 0, '{missing}' has no effect on "
                f"'{formula.lhs}'. Write {missing} + {term}; 0*{missing} says that this is meant."
            )
    return notes


def _products(parsed: ParsedModel) -> Iterator[tuple[Formula, tuple[Part, ...]]]:
    for formula in parsed.formulas:
        if len(formula.term.parts) > 1:
            yield formula, formula.term.parts


def _has_effect(parts: Sequence[Part], product: Formula, parsed: ParsedModel) -> bool:
    """Whether the formulas have a term of these columns that predicts the same outcome."""
    columns = {part.column for part in parts}
    for f in parsed.formulas:
        if f.op != "~":
            continue
        own = {part.column for part in f.term.parts} or {f.term.name}
        same = (f.level, f.lhs) == (product.level, product.lhs)
        if own == columns and (
            same or f.level in parsed.levels[parsed.levels.index(product.level) + 1 :]
        ):
            return True
    return False


def _written(part: Part, parts: Sequence[Part], categories: Mapping[str, Sequence[str]]) -> str:
    dummies = [Part(part.column, "dummy", label).name for label in categories[part.column][1:3]]
    terms = [":".join(d if p is part else p.name for p in parts) for d in dummies]
    return " + ".join(terms) + (" + ..." if len(categories[part.column]) > 3 else "")


def check_same_effect(parsed: ParsedModel) -> None:
    """Raise where a product and a predictor of a random slope are one effect, twice.

    ``y ~ rv("s")*x + x:w`` with ``s ~ w`` says twice that the slope of x changes with w.

    Parameters
    ----------
    parsed
        The statements, with all dummies spelled out.
    """
    predicted = {(f.lhs, f.term.name): f for f in parsed.formulas if f.op == "~"}
    slopes = [f for f in parsed.formulas if f.op == "~" and f.term.modifiers.random is not None]
    for formula, parts in _products(parsed):
        for part in parts:
            rest = ":".join(p.name for p in parts if p is not part)
            for slope in slopes:
                if (slope.lhs, slope.term.name) != (formula.lhs, rest):
                    continue
                name = slope.term.modifiers.random
                twice = predicted.get((str(name), part.name))
                if twice is not None:
                    raise SpecificationError(
                        f"'{formula.lhs} ~ {formula.term.name}' {line(formula)} and "
                        f"'{name} ~ {part.name}' {line(twice)} are the same effect: both say how "
                        f"the slope of '{rest}' changes with '{part.name}'. Keep one of them"
                    )
