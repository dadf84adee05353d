"""The parameter table that a text leads to, without data: every name that can be is a column."""

from __future__ import annotations

from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.roles import random_names
from bayes_msem.spec.table import ParameterTable

__all__ = ["table_without_data"]


def table_without_data(
    text: str, *, cluster: str | None = None, std_lv: bool = False
) -> ParameterTable:
    """Build the table of a text whose outcomes are normal.

    Parameters
    ----------
    text
        Model text.
    cluster
        The column that identifies clusters; None: some name.
    std_lv
        As for ``Model``.

    Raises
    ------
    ModelSyntaxError, SpecificationError
        The text cannot be read, or makes no sense.

    Examples
    --------
    >>> [row.rhs for row in table_without_data("f =~ y1 + y2 + y3").rows][:3]
    ['y1', 'y2', 'y3']
    """
    parsed = parse(text)
    latent = {f.lhs for f in parsed.formulas if f.op == "=~"} | set(random_names(parsed))
    named = [n for f in parsed.formulas for n in (f.lhs, f.term.name) if n != "1" and f.op != "|"]
    columns = [name for name in dict.fromkeys(named) if name not in latent]
    if parsed.two_level and cluster is None:
        cluster = "cluster"
        while cluster in named:
            cluster = f"{cluster}_"
    if cluster is not None and cluster not in columns:
        columns.append(cluster)
    return build_table(parsed, columns, cluster=cluster, std_lv=std_lv)
