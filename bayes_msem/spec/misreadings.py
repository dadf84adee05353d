"""What a model text says although its author may have meant something else."""

from __future__ import annotations

from collections.abc import Sequence

from bayes_msem.spec.foreign import INTERACTION
from bayes_msem.spec.roles import line
from bayes_msem.spec.statements import Formula, ParsedModel

__all__ = ["labels_like_variables"]


def labels_like_variables(parsed: ParsedModel, columns: Sequence[str]) -> list[str]:
    """Name labels that are a column of the data or a factor: ``y ~ x*z`` has no effect of x.

    Labels inside ``label("x")`` are meant as labels.

    Parameters
    ----------
    parsed
        The statements.
    columns
        Columns of the data.

    Returns
    -------
    list of str
        One note, or none.
    """
    factors = {f.lhs for f in parsed.formulas if f.op == "=~"}
    found = {
        (f.term.modifiers.label, f.term.name): f
        for f in reversed(parsed.formulas)
        if f.term.modifiers.bare_label
        if f.term.modifiers.label in columns or f.term.modifiers.label in factors
    }
    if not found:
        return []
    formulas = sorted(found.values(), key=lambda f: (f.span.line, f.term.span.column))
    sentences = [_sentence(f, f.term.modifiers.label in factors) for f in formulas]
    label, name = formulas[0].term.modifiers.label, formulas[0].term.name
    return [
        f'{" ".join(sentences)} If a label is meant, say label("{label}")*{name}, or choose '
        f"another name. {INTERACTION}"
    ]


def _sentence(formula: Formula, is_factor: bool) -> str:
    label, name = formula.term.modifiers.label, formula.term.name
    what = "a factor" if is_factor else "a column of the data"
    return (
        f"'{label}*{name}' {line(formula)} is no product: '{label}', {what}, is read as the label "
        f"of the coefficient of '{name}', so it has no effect itself."
    )
