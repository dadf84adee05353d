"""What the search for modes found, in words, in a fit's record, and against its draws."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.density import support
from bayes_msem.inference.modes import known_modes

__all__ = ["FoundModes", "found_modes", "read_modes", "with_shares", "write_modes"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FoundModes:
    """Modes of the posterior, the one with the largest mass first.

    Attributes
    ----------
    log_posterior
        Log posterior density (unnormalised) on the scale of the priors, as of ``model.mode()``.
    n_matter
        How many of them matter: within ten log units of the first in mass. Chains start at these.
    log_mass
        Log of the posterior mass around each mode, by Laplace's approximation (same constant).
    reflected
        Factors whose sign could be reversed: the mirrored solution fits equally well.
    n_starts
        Number of points from which the search started.
    positions
        Sampled parameters at each mode, (n_modes, n).
    share
        Share of the draws that are nearest to each mode; empty before sampling.
    """

    log_posterior: tuple[float, ...]
    n_matter: int
    log_mass: tuple[float, ...]
    reflected: tuple[str, ...]
    n_starts: int
    positions: tuple[tuple[float, ...], ...]
    share: tuple[float, ...] = ()

    @property
    def n(self) -> int:
        """Number of modes that were found within thirty log units."""
        return len(self.log_posterior)

    @property
    def weight(self) -> tuple[float, ...]:
        """Posterior probability of each mode, by Laplace's approximation."""
        mass = np.exp(np.array(self.log_mass) - max(self.log_mass))
        return tuple((mass / mass.sum()).tolist())

    @property
    def several(self) -> bool:
        """Whether more than one solution matters."""
        return self.n_matter > 1 or bool(self.reflected)

    @property
    def message(self) -> str:
        """What was found, if it is more than one mode; otherwise empty."""
        parts = []
        first, rest = self.log_posterior[: self.n_matter], self.log_posterior[self.n_matter :]
        if self.n_matter > 1:
            weights, shares = self.weight[: self.n_matter], self.share[: self.n_matter]
            parts.append(
                f"the posterior has {self.n_matter} modes that matter, log posterior "
                f"{_listed(first)}, with about {_percent(weights)} of its mass by Laplace's "
                "approximation"
            )
            if self.share:
                parts.append(f"{_percent(shares)} of the draws are near them")
        if rest:
            parts.append(
                f"the posterior has further maxima that hold next to nothing of its mass, log "
                f"posterior {_listed(rest)}"
                + (f" against {_listed(first)}" if self.n_matter == 1 else "")
            )
        if parts:
            parts[0] += f" (search from {self.n_starts} points)"
        if self.reflected:
            parts.append(f"the sign of {', '.join(self.reflected)} is not fixed")
        return "; ".join(parts)

    @property
    def advice(self) -> str:
        """What to do about it; empty if nothing."""
        parts = []
        if self.n_matter > 1:
            parts.append(
                "Chains start at each of them in turn; chains that stay where they started do not "
                "weigh them. Compare model.mode() with its .others to see which solutions compete, "
                "and decide by theory: another marker, a fixed or stronger prior, another model."
            )
        elif self.n > 1:
            parts.append("No chain starts there; see model.mode().others.")
        if self.reflected:
            parts.append(
                f"Give a loading of {', '.join(self.reflected)} a prior with one sign, such as "
                'prior("halfnormal(1)").'
            )
        return " ".join(parts)

    def __str__(self) -> str:
        """Return message and advice as sentences."""
        if not self.message:
            return f"One mode of the posterior was found from {self.n_starts} starting points."
        return f"{self.message[0].upper()}{self.message[1:]}. {self.advice}"


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _percent(shares: tuple[float, ...]) -> str:
    return ", ".join(f"{100 * share:.3g}%" for share in shares)


def found_modes(blueprint: Blueprint) -> FoundModes | None:
    """Describe the modes of a blueprint; None if they have not been searched."""
    known = known_modes(blueprint)
    if known is None:
        return None
    bounds = support(blueprint)
    positions = [bounds.to_constrained(m.position)[0].tolist() for m in known.sampled]
    return FoundModes(
        log_posterior=tuple(float(m.value) for m in known.on_prior_scale),
        n_matter=known.n_matter,
        log_mass=tuple(float(m) for m in known.log_mass),
        reflected=known.reflected,
        n_starts=known.n_starts,
        positions=tuple(map(tuple, positions)),
    )


def write_modes(modes: FoundModes | None) -> str:
    """Text for a fit's record; empty if there was no search."""
    if modes is None:
        return ""
    names = ("log_posterior", "n_matter", "log_mass", "reflected", "n_starts", "positions")
    return json.dumps({name: getattr(modes, name) for name in names})


def read_modes(text: str) -> FoundModes | None:
    """Reverse of :func:`write_modes`."""
    if not text:
        return None
    stored = json.loads(text)
    return FoundModes(
        log_posterior=tuple(stored["log_posterior"]),
        n_matter=int(stored["n_matter"]),
        log_mass=tuple(stored["log_mass"]),
        reflected=tuple(stored["reflected"]),
        n_starts=int(stored["n_starts"]),
        positions=tuple(map(tuple, stored["positions"])),
    )


def with_shares(modes: FoundModes, x: FloatArray) -> FoundModes:
    """Add which share of the draws is nearest to each mode.

    Distances are in units of the spread of the draws inside chains, so that parameters which tell
    modes apart count, and those in which they agree cancel.

    Parameters
    ----------
    modes
        From :func:`read_modes`.
    x
        Draws of the sampled parameters, (chain, draw, n).
    """
    spread = x.var(axis=1).mean(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    centres = np.array(modes.positions)
    distances = [(((x - c) ** 2) / spread).sum(axis=-1) for c in centres]
    nearest = np.argmin(np.stack(distances), axis=0)
    return replace(
        modes,
        share=tuple((np.bincount(nearest.ravel(), minlength=modes.n) / nearest.size).tolist()),
    )
