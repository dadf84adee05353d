"""What a model says before it sees the data: the part of :class:`bayes_msem.Model` on priors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bayes_msem.arguments import MOST_DRAWS, checked, integer, names
from bayes_msem.checking.priors.prior_implied import PriorImplied, prior_implied
from bayes_msem.inference.seeds import seed_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayes_msem.blueprint.blueprint import Blueprint

__all__ = ["PriorChecks"]


class PriorChecks:
    """The part of :class:`bayes_msem.Model` that checks priors."""

    if TYPE_CHECKING:

        def unpiloted_blueprint(self) -> Blueprint:
            """Structure, priors and data."""

        def _check_free(self, consequence: str) -> None:
            """Raise if every row is a constant."""

    @checked(draws=integer(1, MOST_DRAWS))
    def prior_implied(
        self, draws: int = 500, *, ci: float = 0.95, random_seed: int | None = None
    ) -> PriorImplied:
        """Compare what the prior implies on the scale of the data with the data.

        Means, standard deviations, intraclass correlations, correlations within and between, and
        R squared under the prior, next to moment estimates from the data. Of ordered outcomes the
        shares of the categories, of counts their mean and the share of zeros; moments of their
        latent responses and log rates have no estimate.

        Parameters
        ----------
        draws
            Number of draws from the prior, each with one replicated data set.
        ci
            Mass of the equal-tailed interval.
        random_seed
            Seed; None draws a new one.

        Returns
        -------
        PriorImplied
            ``table`` with columns quantity, level, variable, median, lower, upper, data, p and
            verdict; ``lines`` that say in words where prior and data conflict (p below 0.05),
            where the prior is wider than the data, where it has most of its mass at an edge (an ICC
            of 0 or 1), and where it is vague to absurdity. Print it to see both.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> model.prior_implied(draws=200, random_seed=1).lines
        ()
        """
        self._check_free("no prior to look at")
        blueprint = self.unpiloted_blueprint().to_sample
        return prior_implied(blueprint, draws=draws, ci=ci, random_seed=seed_of(random_seed))

    @checked(draws=integer(1, MOST_DRAWS), variables=names)
    def plot_prior_predictive(
        self,
        draws: int = 500,
        *,
        variables: Sequence[str] | str | None = None,
        random_seed: int | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Show what the prior implies on the scale of the data, and the data.

        Parameters
        ----------
        draws
            As in :meth:`prior_implied`.
        variables
            Outcomes and cluster-level variables to show; None: all.
        random_seed
            Seed; None draws a new one.
        figsize
            Width and height in inches; None: what the panels need.

        Returns
        -------
        matplotlib.figure.Figure
            Above: densities of data sets replicated from the prior, and of the data. Below: prior
            distributions of standard deviations (log scale), ICCs, correlations (at most 12 per
            panel, those with the smallest p) and R squared, with the moment estimates from the
            data. Ordered outcomes have panels with the prior of the share of every category
            instead of a density.

        Raises
        ------
        SpecificationError
            Unknown variables.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> figure = model.plot_prior_predictive(draws=50, random_seed=1)
        >>> figure.axes[0].get_title(loc="left")
        'mach'
        """
        from bayes_msem.plotting.prior_predictive import prior_predictive

        implied = self.prior_implied(draws, random_seed=random_seed)
        return prior_predictive(implied, variables=variables, figsize=figsize)
