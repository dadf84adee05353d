"""The plan: which random quantities are integrated out, which NUTS samples, and why."""

from __future__ import annotations

from dataclasses import dataclass

from bayes_msem.errors import NotSupportedError
from bayes_msem.spec.table import ParameterTable


@dataclass(frozen=True, slots=True)
class Plan:
    """How the likelihood of a model is evaluated.

    Attributes
    ----------
    name
        "marginal": NUTS sees the parameters only.
    integrated
        Random quantities that are integrated out exactly, one entry per sort, such as
        "random intercepts of y1, y2".
    sampled
        Cluster-level quantities that NUTS samples.
    reason
        Why.
    """

    name: str
    integrated: tuple[str, ...]
    sampled: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        """Return the plan in words."""
        integrated = "; ".join(self.integrated) or "nothing (no latent or cluster-level quantities)"
        sampled = "; ".join(self.sampled) or "parameters only"
        return (
            f"Plan: {self.name}\n"
            f"  integrated exactly: {integrated}\n"
            f"  sampled by NUTS:    {sampled}\n"
            f"  why: {self.reason}"
        )


def make_plan(table: ParameterTable) -> Plan:
    """Choose the plan of a model.

    Raises
    ------
    NotSupportedError
        The model has random slopes, loadings or (co)variances.
    """
    random = [row for row in table.rows if row.random]
    if random:
        named = ", ".join(f"{r.random} ({r.lhs} {r.op} {r.rhs})" for r in random)
        raise NotSupportedError(
            f"random coefficients are declared but cannot be fitted by this version: {named}. "
            "The parameter table shows them; remove rv() from these rows to fit the model with "
            "coefficients that are constant over clusters."
        )
    sorts = [("factor", "", table.variables("within", "within factor"))]
    if table.two_level:
        sorts = [
            ("within factor", "", table.variables("within", "within factor")),
            ("random intercept", "of ", table.variables("within", "split")),
            ("between factor", "", table.variables("between", "between factor")),
        ]
    integrated = [
        f"{sort}{'s' if len(names) > 1 else ''} {of}{', '.join(names)}"
        for sort, of, names in sorts
        if names
    ]
    return Plan(
        name="marginal",
        integrated=tuple(integrated),
        sampled=(),
        reason=(
            "everything that varies over rows and clusters enters linearly and is normal, so the "
            "observed data are multivariate normal given the parameters"
        ),
    )
