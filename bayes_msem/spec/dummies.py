"""Spells out predictors that hold categories: ``y ~ x`` becomes ``y ~ x[T.b] + x[T.c]``.

Dummies are treatment-coded: ``x[T.b]`` is 1 in category b and 0 in all others, whatever the
reference. The reference is the category without a dummy: the first one, or the one that
``C(x, Treatment("b"))`` names. In products all combinations are written, the first variable running
fastest, as formulaic, patsy and bambi do.

What stands before such a term holds for every coefficient: numbers, ``NA``, ``start()`` and
``prior()``. A label and ``rv()`` name one thing, and so are refused where there are several
coefficients; dummies that are written out have their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from bayes_msem.errors import NotSupportedError, SpecificationError, nearest
from bayes_msem.spec.coded_checks import check_columns_of_terms, check_same_effect, main_effects
from bayes_msem.spec.coded_terms import term_name
from bayes_msem.spec.roles import level_use, line
from bayes_msem.spec.statements import Formula, Level, ParsedModel, Part, Term

__all__ = ["MayHoldCategories", "SpelledOut", "may_hold_categories", "spell_out"]


@dataclass(frozen=True, slots=True)
class MayHoldCategories:
    """Columns whose values may be categories.

    Attributes
    ----------
    stated
        Those that the text says so of, by ``C(x)`` or ``x[T.b]``.
    open
        Other predictors: the data decide.
    """

    stated: tuple[str, ...]
    open: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpelledOut:
    """Statements in which every predictor is one column.

    Attributes
    ----------
    parsed
        The statements.
    columns
        Parts of each column that is computed, by its name; each a column or a dummy.
    notes
        What the author should know.
    """

    parsed: ParsedModel
    columns: Mapping[str, tuple[Part, ...]]
    notes: tuple[str, ...]


def may_hold_categories(
    parsed: ParsedModel, columns: Sequence[str], *, cluster: str | None, declared: Sequence[str]
) -> MayHoldCategories:
    """Find the predictors whose columns may hold categories.

    Parameters
    ----------
    parsed
        The statements.
    columns
        Columns of the data.
    cluster
        The column that identifies clusters; None for single-level models.
    declared
        Outcomes with declared families, which are left alone.

    Raises
    ------
    SpecificationError, NotSupportedError
        A coded term with a name that is no column, or that is modelled.
    """
    check_columns_of_terms(parsed, columns, cluster)
    uses = [level_use(parsed.formulas, level) for level in parsed.levels]
    is_cluster = partial(parsed.is_cluster_column, cluster=cluster)
    stated: dict[str, None] = {}
    found: dict[str, None] = {}
    for f in parsed.formulas:
        for part in f.term.parts:
            (found if part.kind == "column" else stated)[part.column] = None
        name = f.term.name
        if f.op == "~" and not f.term.parts and name in columns and not is_cluster(name):
            if all(name not in use.names or use.is_pure_predictor(name) for use in uses):
                found[name] = None
    others = [name for name in found if name not in stated and name not in declared]
    return MayHoldCategories(tuple(stated), tuple(others))


def spell_out(
    parsed: ParsedModel,
    columns: Sequence[str],
    categories: Mapping[str, Sequence[str]],
    numbers: Sequence[str] = (),
) -> SpelledOut:
    """Write a term for every coefficient.

    Parameters
    ----------
    parsed
        The statements.
    columns
        Columns of the data.
    categories
        Labels of the columns that hold categories, the first one being the reference.
    numbers
        Those of them whose values are numbers.

    Returns
    -------
    SpelledOut

    Raises
    ------
    SpecificationError
        A category that does not exist, a label for several coefficients, a column that is read as
        numbers and as categories, with two references, or at both levels.

    Examples
    --------
    >>> from bayes_msem.spec.parser import parse
    >>> found = spell_out(parse("y ~ x + g + x:g"), ["y", "x", "g"], {"g": ["a", "b", "c"]})
    >>> [f.term.name for f in found.parsed.formulas]
    ['x', 'g[T.b]', 'g[T.c]', 'x:g[T.b]', 'x:g[T.c]']
    """
    coder = _Coder(categories, _references(parsed, categories))
    _check_readings(parsed, categories, numbers)
    notes = main_effects(parsed, categories)
    formulas = tuple(one for f in parsed.formulas for one in coder.spelled(f))
    spelled = replace(parsed, formulas=formulas)
    check_same_effect(spelled)
    _check_levels(formulas)
    taken = [name for name in coder.columns if name in columns]
    if taken:
        raise SpecificationError(
            f"the data have a column '{taken[0]}', which is also how a term of the model is "
            "written, so it could mean either; rename the column"
        )
    return SpelledOut(spelled, coder.columns, tuple(dict.fromkeys(notes)))


class _Coder:
    """Spells formulas out, and keeps what columns they need."""

    def __init__(
        self, categories: Mapping[str, Sequence[str]], references: Mapping[str, str]
    ) -> None:
        self.categories = categories
        self.references = references
        self.columns: dict[str, tuple[Part, ...]] = {}
        self._names: dict[frozenset[str], str] = {}

    def spelled(self, formula: Formula) -> Iterator[Formula]:
        """Yield a formula for every coefficient."""
        term = formula.term
        if formula.op != "~" or term.name == "1":
            yield formula
            return
        choices = [self._choices(part, formula) for part in term.parts or (Part(term.name),)]
        combinations = [found[::-1] for found in product(*choices[::-1])]
        if len(combinations) > 1:
            _check_modifiers(formula, [term_name(parts) for parts in combinations])
        for parts in combinations:
            if len(parts) == 1 and parts[0].kind == "column":
                yield formula
                continue
            name = self._named(parts)
            yield replace(formula, term=Term(name, term.modifiers, term.span, self.columns[name]))

    def _choices(self, part: Part, formula: Formula) -> list[Part]:
        labels = self.categories.get(part.column)
        if labels is None:
            return [part]
        if part.kind == "dummy":
            _check_category(part.category, part.column, labels, formula)
            return [part]
        reference = self.references[part.column]
        return [Part(part.column, "dummy", label) for label in labels if label != reference]

    def _named(self, parts: tuple[Part, ...]) -> str:
        """Name a column; z:x is x:z, if that was written first."""
        name = self._names.setdefault(frozenset(p.name for p in parts), term_name(parts))
        self.columns.setdefault(name, parts)
        return name


def _check_category(label: str, column: str, labels: Sequence[str], formula: Formula) -> None:
    if label not in labels:
        raise SpecificationError(
            f"'{formula.term.name}' {line(formula)}: '{column}' has no category '{label}'"
            f"{nearest(label, labels) or '.'} It has {', '.join(labels)}"
        )


def _references(parsed: ParsedModel, categories: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the reference of every column; one that is stated holds wherever none is."""
    stated: dict[str, Formula] = {}
    found: dict[str, str] = {}
    for f in parsed.formulas:
        for part in f.term.parts:
            if part.kind != "categories" or not part.category:
                continue
            _check_category(part.category, part.column, categories[part.column], f)
            first = stated.setdefault(part.column, f)
            if found.setdefault(part.column, part.category) != part.category:
                raise SpecificationError(
                    f"'{part.column}' has the reference '{found[part.column]}' {line(first)} and "
                    f"'{part.category}' {line(f)}; choose one"
                )
    return {column: found.get(column, labels[0]) for column, labels in categories.items()}


def _check_readings(
    parsed: ParsedModel, categories: Mapping[str, Sequence[str]], numbers: Sequence[str]
) -> None:
    """Raise if a column of numbers is read as categories here and as numbers there."""
    for f in parsed.formulas:
        for part in f.term.parts or (Part(f.term.name),):
            if part.kind == "column" and part.column in categories and part.column in numbers:
                raise SpecificationError(
                    f"'{f.term.name}' {line(f)} reads '{part.column}' as numbers, while another "
                    f"term reads it as categories; write C({part.column}) here too, or make a "
                    "second column of the data"
                )


def _check_modifiers(formula: Formula, names: Sequence[str]) -> None:
    """Refuse a label or rv() for several coefficients."""
    modifiers = formula.term.modifiers
    label, random = modifiers.label, modifiers.random
    if label is None and random is None:
        return
    what = f"the label '{label}'" if random is None else f'rv("{random}")'
    given = label if random is None else random
    terms = [
        f"{given}{k}*{name}" if random is None else f'rv("{given}{k}")*{name}'
        for k, name in enumerate(names, start=1)
    ]
    more = " + ..." if len(terms) > 3 else ""
    raise SpecificationError(
        f"{what} stands before '{formula.term.name}' {line(formula)}, which has {len(names)} "
        f"coefficients: {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}. Write them out, "
        f"each with its own: {' + '.join(terms[:3])}{more}"
    )


def _check_levels(formulas: Sequence[Formula]) -> None:
    """Raise if a coded column is used at both levels."""
    first: dict[str, Level] = {}
    for f in formulas:
        if f.term.parts and first.setdefault(f.term.name, f.level) != f.level:
            raise NotSupportedError(_both_levels(f))


def _both_levels(formula: Formula) -> str:
    name = formula.term.name
    used = f"'{name}' is used at both levels {line(formula)}"
    split = "A variable in both blocks is split into latent within and between parts"
    if len(formula.term.parts) > 1:
        return (
            f"{used}. {split}: at level between that could be the cluster mean of the products, or "
            "the product of the cluster means. Compute the one that is meant as a column of the "
            "data, and use it at level between"
        )
    part = formula.term.parts[0]
    return (
        f"{used}. {split}, taken for normal, and categories are not. Use '{part.column}' at level "
        "within and the shares of its categories, a column each, at level between: "
        f"data['share'] = (data['{part.column}'] == ...).groupby(data['<cluster>'])"
        ".transform('mean'). If the normal approximation is meant, make columns of 0 and 1 and use "
        "those at both levels"
    )
