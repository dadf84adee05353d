"""What the data y of each cluster say about its effects, as a normal approximation, packed.

The approximation concerns e_j = (a_j, b_j), linear and sampled effects together, and y alone:

    log p(y_j | a_j, b_j) = eta_j' e_j - 1/2 e_j' Lambda_j e_j + constant .

With H = Lambda_aa = A A' (A lower triangular), Lambda_ab = A Gamma and S = Lambda_bb - Gamma' Gamma
it is the density of pseudo-observations eta1 = A' a + Gamma b + N(0, I), times a quadratic in b
alone with information S and linear term eta2 = eta_b - Gamma' eta1. Kernels read A, Gamma, S, eta1
and eta2, from one vector of lanes.

The linear effects are left out (n_a = 0) where they are independent of the sampled ones, given z.
Where z depends on sampled effects, it is held here too: coordinates condition on it, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.readonly import ReadOnlyArrays, frozen
from bayes_msem.kernels.coordinates import HEADER
from bayes_msem.likelihood.statistics import in_batches

FloatArray = NDArray[np.float64]

_RANK = 1e-14  # eigenvalues below this part of the largest are zeros


@dataclass(frozen=True, slots=True, eq=False)
class Approximation(ReadOnlyArrays):
    """Normal approximation of the likelihood of every cluster's effects.

    Attributes
    ----------
    information
        Lambda (J, n, n), positive semidefinite, of (a, b) or of b alone.
    linear
        eta (J, n).
    n_sampled
        Number of sampled effects b, the last of the n.
    z
        Cluster-level variables (J, n_z) that the coordinates condition on, NaN where missing, or
        an array with no columns.
    packed
        What kernels read.
    """

    information: FloatArray
    linear: FloatArray
    n_sampled: int
    z: FloatArray
    packed: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Factorise and pack."""
        object.__setattr__(self, "packed", frozen(_pack(self)))

    @property
    def n_linear(self) -> int:
        """Number of linear effects in it: all or none."""
        return int(self.linear.shape[1]) - self.n_sampled

    def moved(self, shift: FloatArray) -> FloatArray:
        """Return what kernels read if the data say of b - shift what they say here of b.

        Parameters
        ----------
        shift
            How far thresholds move what the data say about each effect, (n_b,).
        """
        assert not self.n_linear, "thresholds move sampled effects only"
        packed, moved = self.packed.copy(), in_batches(self.information @ shift)
        first = HEADER + moved.size * self.n_sampled  # behind S comes eta2
        packed[first : first + moved.size] += moved
        return frozen(packed)

    def only(self, cluster: int) -> Approximation:
        """Return that of one cluster."""
        one = slice(cluster, cluster + 1)
        return Approximation(self.information[one], self.linear[one], self.n_sampled, self.z[one])


def no_approximation(n_clusters: int, n_sampled: int) -> Approximation:
    """Return that of data that say nothing: its coordinates are standardised effects."""
    shape = (n_clusters, n_sampled)
    return Approximation(
        np.zeros((*shape, n_sampled)), np.zeros(shape), n_sampled, np.empty((n_clusters, 0))
    )


def _pack(approximation: Approximation) -> FloatArray:
    n_a = approximation.n_linear
    information, linear = approximation.information, approximation.linear
    h, cross, rest = (
        information[:, :n_a, :n_a],
        information[:, :n_a, n_a:],
        information[:, n_a:, n_a:],
    )
    scale = np.sqrt(np.maximum(np.einsum("jii->ji", h), 0.0))
    scale = np.where(scale > 0.0, scale, 1.0)
    root = _triangular_root(h / scale[:, :, None] / scale[:, None, :])
    inverse = np.linalg.pinv(root, rcond=np.sqrt(_RANK))
    gamma = inverse @ (cross / scale[:, :, None])
    first = np.einsum("jqa,ja->jq", inverse, linear[:, :n_a] / scale)
    rest = rest - gamma.transpose(0, 2, 1) @ gamma
    if n_a:
        rest = semidefinite(rest)
    second = linear[:, n_a:] - np.einsum("jqi,jq->ji", gamma, first)
    seen = ~np.isnan(approximation.z)
    z = np.where(seen, approximation.z, 0.0)
    parts = (scale[:, :, None] * root, gamma, rest, first, second, z, seen.astype(np.float64))
    header = np.array([n_a > 0, z.shape[1] > 0, not seen.all()], dtype=np.float64)
    assert len(header) == HEADER
    return np.concatenate([header, *(in_batches(part) for part in parts)])


def _triangular_root(matrices: FloatArray) -> FloatArray:
    """Lower triangular A with A A' = H, for semidefinite H of any rank."""
    values, vectors = np.linalg.eigh(matrices)
    tiny = _RANK * values.max(axis=1, initial=0.0)[:, None]
    roots = vectors * np.sqrt(np.where(values > tiny, values, 0.0))[:, None, :]
    upper = np.linalg.qr(roots.transpose(0, 2, 1), mode="r")
    lower: FloatArray = upper.transpose(0, 2, 1)
    return lower


def semidefinite(matrices: FloatArray) -> FloatArray:
    """Set negative eigenvalues of symmetric matrices (J, n, n) to zero, in units of the diagonal.

    The scaling makes the result independent of the units of the effects.
    """
    size = np.abs(np.einsum("jii->ji", matrices))
    scale = np.sqrt(np.where(size > 0.0, size, 1.0))
    outer = scale[:, :, None] * scale[:, None, :]
    scaled = matrices / outer
    values, vectors = np.linalg.eigh((scaled + scaled.transpose(0, 2, 1)) / 2)
    clipped = np.einsum("jik,jk,jlk->jil", vectors, np.maximum(values, 0.0), vectors)
    result: FloatArray = (
        np.where(values.min(axis=1, initial=0.0)[:, None, None] < 0.0, clipped, scaled) * outer
    )
    return result
