"""What a calibration found: ranks, their tests, a figure, a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayes_msem.arguments import checked, several
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.posterior.convergence import R_HAT_LIMIT
from bayes_msem.posterior.rank_uniformity import holm, p_value
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.studies.sbc_replication import CALIBRATION, N_DRAWS
from bayes_msem.studies.study_file import save_study
from bayes_msem.wording import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SbcResult"]


@dataclass(frozen=True, eq=False)
class SbcResult:
    """What :func:`bayes_msem.sbc` found. Print it to see the summary.

    Attributes
    ----------
    replications
        One row per replication and quantity: replication, quantity, true (from the prior), rank
        among 99 draws, draws (how many were nearly independent), ess, seconds, max_r_hat,
        divergences and failure (why a replication failed; else empty).
    design
        What was calibrated, in plain values: model text, priors, settings, seed.

    Examples
    --------
    >>> calibrated.ranks.shape
    (100, 4)
    >>> bool((calibrated.summary()["p_holm"] > 0.05).all())
    True
    """

    replications: pd.DataFrame
    design: Mapping[str, Any]

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Rank of the truth, from 0 to 99: a row per replication that was done, quantities across.

        Examples
        --------
        >>> int(calibrated.ranks.to_numpy().max()) <= 99
        True
        """
        wide = self._done.pivot(index="replication", columns="quantity", values="rank")
        wide = wide.reindex(columns=list(self.design["quantities"])).astype("int64")
        wide.columns.name = None
        return wide

    @property
    def _done(self) -> pd.DataFrame:
        return self.replications[self.replications["failure"] == ""]

    @cached_property
    def fits(self) -> pd.DataFrame:
        """Replications done and failed, and how their fits went, in one row.

        Columns done, failed, failed_share (of all replications), divergent and r_hat_high (shares
        of the replications that were done with any divergence, and with an R-hat of 1.01 or more),
        and seconds (CPU, mean of a replication; NaN if threads of one process computed them).

        Examples
        --------
        >>> int(calibrated.fits["failed"].iloc[0])
        2
        """
        once = self.replications.drop_duplicates("replication")
        good = once[once["failure"] == ""]
        done, failed = len(good), len(once) - len(good)
        r_hat = good["max_r_hat"].dropna()  # one chain has none
        line = {
            "done": done,
            "failed": failed,
            "failed_share": failed / len(once) if len(once) else np.nan,
            "divergent": float((good["divergences"] > 0).mean()),
            "r_hat_high": float((r_hat >= R_HAT_LIMIT).mean()),
            "seconds": float(once["seconds"].mean()),
        }
        return pd.DataFrame([line])

    @checked()
    def summary(self) -> EstimateTable:
        """Test whether the ranks of each quantity are uniform.

        Returns
        -------
        EstimateTable
            Row per quantity. Columns: ``p``, of the exact test of uniform ranks, which looks at the
            whole distribution (Säilynoja et al. 2022); ``p_holm``, corrected for the number of
            quantities (Holm 1979), which are dependent: below .05, something is wrong somewhere,
            with a false alarm in at most 5% of calibrations. ``mean`` of the ranks as shares, .5 if
            right: above, draws are too low. ``spread``, their SD over that of uniform ones, 1 if
            right: above, the posterior is too narrow. ``draws``, the median number of nearly
            independent draws (at most 99).

        Examples
        --------
        >>> calibrated.summary()[["quantity", "p"]].shape
        (4, 2)
        """
        ranks, done = self.ranks, self._done
        p = [p_value(values, N_DRAWS) if len(values) else np.nan for values in ranks.to_numpy().T]
        shares = (ranks + 0.5) / (N_DRAWS + 1)
        uniform = np.sqrt((1 - 1 / (N_DRAWS + 1) ** 2) / 12)
        draws = done.groupby("quantity")["draws"].median()
        table = EstimateTable(
            {
                "quantity": list(ranks.columns),
                "p": p,
                "p_holm": holm(p),
                "mean": shares.mean().to_numpy(),
                "spread": shares.std().to_numpy() / uniform,
                "draws": draws.reindex(ranks.columns).to_numpy(),
            }
        )
        table.attrs["caption"] = self._caption
        return table

    @property
    def _caption(self) -> str:
        fits = self.fits.iloc[0]
        done, failed = int(fits["done"]), int(fits["failed"])
        about = f"{plural(done, 'replication')} done, {failed} failed ({fits['failed_share']:.1%})"
        if done:
            about += f"; {fits['divergent']:.1%} of those done had divergences, "
            about += f"{fits['r_hat_high']:.1%} an R-hat of 1.01 or more"
        about += ". p: exact test of uniform ranks; p_holm: corrected for the number of quantities."
        if failed:
            about += " Failed replications have no ranks: p is that of the others."
        return about

    def __repr__(self) -> str:
        """Return the summary."""
        return repr(self.summary())

    def _repr_html_(self) -> str:
        """Notebook display."""
        return self.summary()._repr_html_()

    @checked(quantities=several)
    def plot(
        self,
        quantities: str | Sequence[str] | None = None,
        *,
        ci: float = 0.95,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Draw the distribution function of the ranks minus the uniform one, a panel per quantity.

        Parameters
        ----------
        quantities
            Names as in the summary; None: all.
        ci
            Probability with which all ranks of all quantities drawn stay inside the grey bands if
            they are uniform (bands are simultaneous, and corrected for the number of panels).
        figsize
            Width and height in inches; None: what the panels need.

        Returns
        -------
        matplotlib.figure.Figure
            Panels that leave their band are orange.

        Raises
        ------
        SpecificationError
            Unknown quantities, or no replication was done.

        Examples
        --------
        >>> figure = calibrated.plot(["b", "log_likelihood"])
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['b', 'log_likelihood']
        """
        known = list(self.ranks.columns)
        chosen = [quantities] if isinstance(quantities, str) else list(quantities or known)
        for name in chosen:
            if name not in known:
                raise SpecificationError(
                    f"quantities: {name!r} was not ranked; ranked are {', '.join(known)}"
                    f"{nearest(str(name), known)}"
                )
        if self.ranks.empty:
            raise SpecificationError(
                "there are no ranks to draw: all replications failed; see .replications"
            )
        from bayes_msem.plotting.rank_curves import rank_curves

        values = {name: self.ranks[name].to_numpy() for name in chosen}
        return rank_curves(values, N_DRAWS, ci=ci, figsize=figsize)

    @checked()
    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the replications, as ``path=`` of :func:`bayes_msem.sbc` does.

        Parameters
        ----------
        path
            CSV file; its first line holds the design, so that a calibration can go on from it.
        overwrite
            Whether to replace what stands there.

        Raises
        ------
        FileError
            The path is taken, or cannot be written to.

        Examples
        --------
        >>> calibrated.save("calibrated.csv")
        >>> import pandas as pd
        >>> len(pd.read_csv("calibrated.csv", comment="#")) == len(calibrated.replications)
        True
        """
        save_study(path, self.design, self.replications, overwrite=overwrite, sheet=CALIBRATION)
