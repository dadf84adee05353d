"""The families of outcomes by name, as users write them: one line of _OUTCOMES each."""

from __future__ import annotations

from dataclasses import dataclass

from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.outcomes.binary import Binary
from bayes_msem.outcomes.gaussian import Gaussian
from bayes_msem.outcomes.location_scale import LocationScale
from bayes_msem.outcomes.negbinomial import NegBinomial
from bayes_msem.outcomes.ordinal import Ordinal
from bayes_msem.outcomes.outcome import Outcome
from bayes_msem.outcomes.poisson import Poisson

__all__ = ["FAMILIES", "LOCATION_SCALE", "Family", "family"]

_OUTCOMES: tuple[type[Outcome], ...] = (
    Gaussian,
    Binary,
    Ordinal,
    Poisson,
    NegBinomial,
)


@dataclass(frozen=True, slots=True)
class Family:
    """A family of outcomes with its link.

    Attributes
    ----------
    name
        Such as "ordinal".
    link
        Such as "probit".
    """

    name: str
    link: str

    @property
    def text(self) -> str:
        """What the user writes: "ordinal(probit)", or "poisson" where there is one link."""
        return self.name if len(self.outcome.links) == 1 else f"{self.name}({self.link})"

    @property
    def outcome(self) -> Outcome:
        """Densities, means, draws and starting values."""
        return _RULES[self.name, self.link]

    @property
    def code(self) -> int:
        """The family in kernels.responses."""
        return self.outcome.code

    @property
    def residual_variance(self) -> float | None:
        """Fixed residual variance of the latent response: 0 for log rates, None where free."""
        return self.outcome.residual_variance

    @property
    def has_thresholds(self) -> bool:
        """Whether categories are cut from a latent response."""
        return self.outcome.has_thresholds

    @property
    def is_count(self) -> bool:
        """Whether outcomes are counts, whose linear predictor is a log rate."""
        return self.link == "log"

    @property
    def has_dispersion(self) -> bool:
        """Whether the table has a row for a dispersion."""
        return self.outcome.has_dispersion


_KINDS: tuple[type[Outcome], ...] = (*_OUTCOMES, LocationScale)
_RULES: dict[tuple[str, str], Outcome] = {
    (kind.name, link): kind(link) for kind in _KINDS for link in kind.links
}
LOCATION_SCALE = Family(LocationScale.name, "identity")
"""That of normal outcomes whose residual log SD has predictors at level within; not declared."""
FAMILIES = {
    found.text: found for found in (Family(*key) for key in _RULES) if found != LOCATION_SCALE
}
"""Every family that is declared, by its text."""


def family(text: str) -> Family:
    """Return the family that the user wrote.

    Parameters
    ----------
    text
        Such as ``"ordinal(probit)"`` or ``"poisson"``; blanks and case do not matter.

    Raises
    ------
    SpecificationError
        There is none of that name.

    Examples
    --------
    >>> family("ordinal(probit)")
    Family(name='ordinal', link='probit')
    >>> family("poisson").text
    'poisson'
    """
    plain = "".join(text.split()).lower() if isinstance(text, str) else str(text)
    if plain in FAMILIES:
        return FAMILIES[plain]
    with_links = [known for known, found in FAMILIES.items() if found.name == plain]
    if with_links:
        raise SpecificationError(
            f"the family {text!r} needs a link: write {' or '.join(map(repr, with_links))}"
        )
    raise SpecificationError(
        f"unknown family {text!r}{nearest(plain, FAMILIES) or '.'} "
        f"Allowed: {', '.join(map(repr, FAMILIES))}"
    )
