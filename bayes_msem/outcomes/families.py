"""Families of outcomes and their links.

Every outcome that is not normal has a latent response y* with a linear predictor. Ordered
categories cut y* at thresholds; the residual of y* has a fixed variance, because categories have
no scale: 1 (probit) or pi^2 / 3 (logit). Of a count the linear predictor is the log rate, which has
no residual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bayes_msem.errors import SpecificationError, nearest

__all__ = ["FAMILIES", "Family", "family"]


@dataclass(frozen=True, slots=True)
class Family:
    """A family of outcomes with its link.

    Parameters
    ----------
    name
        "binary", "ordinal", "poisson", "negbinomial" or "gaussian".
    link
        "probit", "logit", "log" or "identity".
    """

    name: str
    link: str

    @property
    def code(self) -> int:
        """Code of its density (kernels.responses)."""
        return {"identity": 0, "probit": 1, "logit": 2, "log": 4 if self.has_dispersion else 3}[
            self.link
        ]

    @property
    def text(self) -> str:
        """How it is written, such as ``"ordinal(probit)"``."""
        return f"{self.name}({self.link})" if self.has_thresholds else self.name

    @property
    def residual_variance(self) -> float | None:
        """Residual variance of the latent response; 0 for counts, None where it is free."""
        fixed = {"probit": 1.0, "logit": math.pi**2 / 3, "log": 0.0}
        return fixed.get(self.link)

    @property
    def has_thresholds(self) -> bool:
        """Whether thresholds cut the latent response into categories."""
        return self.name in ("binary", "ordinal")

    @property
    def has_dispersion(self) -> bool:
        """Whether a dispersion alpha is estimated: Var = m + alpha m^2."""
        return self.name == "negbinomial"


FAMILIES: dict[str, Family] = {
    f.text: f
    for f in (
        Family("binary", "probit"),
        Family("binary", "logit"),
        Family("ordinal", "probit"),
        Family("ordinal", "logit"),
        Family("poisson", "log"),
        Family("negbinomial", "log"),
        Family("gaussian", "identity"),
    )
}


def family(text: str) -> Family:
    """Read a family.

    Parameters
    ----------
    text
        Such as ``"ordinal(probit)"`` or ``"poisson"``; blanks and case do not matter.

    Raises
    ------
    SpecificationError
        There is no such family.

    Examples
    --------
    >>> family("ordinal(logit)").link
    'logit'
    """
    plain = "".join(text.split()).lower() if isinstance(text, str) else text
    if plain in FAMILIES:
        return FAMILIES[plain]
    raise SpecificationError(
        f"unknown family {text!r}{nearest(str(plain), FAMILIES) or '.'} Allowed: "
        f"{', '.join(repr(name) for name in FAMILIES)}"
    )
