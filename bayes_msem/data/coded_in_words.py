"""What dummies and products stand for, in words: nothing that the data room computes is silent."""

from __future__ import annotations

from collections.abc import Iterable

from bayes_msem.data.coded_columns import CodedColumns
from bayes_msem.data.predictor_categories import label_text
from bayes_msem.spec.table import Row

__all__ = ["coded_in_words", "references_in_words"]


def references(coded: CodedColumns, rows: Iterable[Row]) -> dict[str, dict[str, list[str]]]:
    """Categories without a dummy, by column and outcome."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        parts = coded.columns.get(row.rhs, ())
        if row.kind == "regression" and len(parts) == 1:
            column = parts[0].column
            labels = [label_text(label) for label in coded.categories[column]]
            left = found.setdefault(column, {}).setdefault(row.lhs, labels)
            if parts[0].category in left:
                left.remove(parts[0].category)
    return found


def references_in_words(coded: CodedColumns, rows: Iterable[Row]) -> dict[str, str]:
    """Say, for every column of categories, what its dummies are compared with.

    Parameters
    ----------
    coded
        How the columns are computed.
    rows
        Rows of the parameter table.

    Returns
    -------
    dict
        Such as ``{"g": "'a'"}``; with outcomes where they differ in it.
    """
    result = {}
    for column, by_outcome in references(coded, rows).items():
        texts = {outcome: _joined(left) for outcome, left in by_outcome.items()}
        alike = list(dict.fromkeys(texts.values()))
        if len(alike) == 1:
            result[column] = alike[0]
        else:
            told = [f"{text} ({', '.join(o for o in texts if texts[o] == text)})" for text in alike]
            result[column] = ", ".join(told)
    return result


def _joined(labels: list[str]) -> str:
    text = ", ".join(f"'{label}'" for label in labels)
    return f"{text} together" if len(labels) > 1 else text or "none"


def coded_in_words(coded: CodedColumns, rows: Iterable[Row]) -> dict[str, str]:
    """Say what every coded column is, those of one kind together.

    Parameters
    ----------
    coded, rows
        As for :func:`references_in_words`.

    Returns
    -------
    dict
        Names -> what they are.
    """
    result: dict[str, str] = {}
    compared = references_in_words(coded, rows)
    products = [name for name, parts in coded.columns.items() if len(parts) > 1]
    dummies: dict[str, list[str]] = {}
    for name, parts in coded.columns.items():
        if len(parts) == 1:
            dummies.setdefault(parts[0].column, []).append(name)
    for column, names in dummies.items():
        kind = "dummy" if len(names) == 1 else "dummies"
        against = f", compared with {compared[column]}" if column in compared else ""
        result[", ".join(names)] = f"{kind} of '{column}' (1 in the category, else 0){against}"
    if products:
        kind = "product" if len(products) == 1 else "products"
        result[", ".join(products)] = f"{kind} of the columns as they are; nothing is centred"
    return result
