"""Model: a declared structure, its data and its priors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, get_args

import pandas as pd
import pymc as pm
import xarray as xr

from bayes_msem.build.blueprint import Blueprint, build_blueprint
from bayes_msem.build.conditional import likelihood_given_effects
from bayes_msem.build.mode import Mode, likelihood_at, maximum_likelihood, posterior_mode
from bayes_msem.build.pilot import Centring, with_pilot
from bayes_msem.build.prior_predictive import draw_prior_predictive
from bayes_msem.build.pymc_model import build_pymc_model
from bayes_msem.build.sample import Sampler, draw_posterior
from bayes_msem.build.seeds import seed_of
from bayes_msem.build.singular import check_singular
from bayes_msem.build.values import Values, theta_from_values
from bayes_msem.data.checks import advice
from bayes_msem.data.columns import check_cluster_name, check_frame
from bayes_msem.data.frames import to_pandas_frame
from bayes_msem.data.missing import MissingReport, missing_report
from bayes_msem.data.observe import Missing, ObservedData, observe
from bayes_msem.data.scales import scales
from bayes_msem.display import describe_model
from bayes_msem.errors import (
    ConvergenceWarning,
    IdentificationWarning,
    MissingDataWarning,
    SmallSampleWarning,
    SpecificationError,
    nearest,
)
from bayes_msem.fit import Fit
from bayes_msem.likelihood.plan import Plan, make_plan
from bayes_msem.model.prior_checks import PriorChecks
from bayes_msem.model.simulation import Simulation
from bayes_msem.plotting.diagram import Diagram, draw_diagram
from bayes_msem.posterior.datatree import complete_tree
from bayes_msem.posterior.modes import found_modes, write_modes
from bayes_msem.posterior.record import plain_priors
from bayes_msem.spec.constants import check_constants, doubtful_constants
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.identification import check_identification, counting_rule
from bayes_msem.spec.parser import parse
from bayes_msem.spec.printing import table_frame, to_syntax
from bayes_msem.spec.priors import Prior
from bayes_msem.spec.shorthand import RandomWord, expand_random
from bayes_msem.spec.user_priors import resolve_priors


class Model(PriorChecks, Simulation):
    """A Bayesian (multilevel) structural equation model.

    Parameters
    ----------
    spec
        Model text in lavaan's syntax, with ``level: within`` and ``level: between`` blocks for
        two-level models.
    data
        One row per level-1 unit, as a data frame of pandas, polars, pyarrow or any other library
        that narwhals can read. Never modified.
    cluster
        Column with the cluster identifiers; needed for two-level models.
    priors
        Priors that replace the defaults: ``{key: "normal(0, 1)"}``, where a key is a row
        ("fw =~ y2" or ("within", "fw", "=~", "y2")), a label, or a pattern such as
        ("within", "=~").
    std_lv
        Fix factor variances at 1 instead of the first loadings.
    missing
        "fiml": missing outcomes and indicators of both levels are integrated out (full
        information). "listwise": rows with any missing value are left out, and counted.
    random
        Which coefficients of level within vary over clusters: "loadings", "slopes", "variances",
        "correlations" (of factors), "intercepts", "all", or a list of these; shorthand for
        ``rv()`` on every such row that is free and carries no label, prior or starting value.
        The parameter table shows the rows and their generated names, such as ``l.fw.y2``.
        Variables used at both levels have random intercepts anyway.
    centring
        Coordinates in which NUTS samples random coefficients that cannot be integrated out:
        "adaptive" (default) lets the information in each cluster decide, "centred" and
        "noncentred" force one form everywhere. The posterior is the same.

    Raises
    ------
    ModelSyntaxError
        The text cannot be read.
    SpecificationError
        The text declares a model that makes no sense, or a prior does not fit.
    DataError
        The data do not fit the model.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> df = bm.load_dataset("hsb")
    >>> model = bm.Model('''
    ...     level: within
    ...         mach ~ cses
    ...     level: between
    ...         mach ~ sector + meanses
    ... ''', data=df, cluster="school")
    >>> model.parameter_table[["level", "lhs", "op", "rhs"]].shape
    (6, 4)
    """

    def __init__(
        self,
        spec: str,
        data: Any,
        *,
        cluster: str | None = None,
        priors: Mapping[Any, str | Prior] | None = None,
        std_lv: bool = False,
        missing: Missing = "fiml",
        random: RandomWord | Sequence[RandomWord] | None = None,
        centring: Centring = "adaptive",
    ) -> None:
        _check_options(missing, centring)
        self._spec = spec
        data = to_pandas_frame(data)
        check_frame(data)  # before names are looked up: its message names the real culprit
        check_cluster_name(cluster)
        columns = list(data.columns)
        parsed = expand_random(parse(spec), random, columns, cluster=cluster, std_lv=std_lv)
        table = build_table(parsed, columns, cluster=cluster, std_lv=std_lv)
        check_constants(table)
        check_identification(table)
        check_singular(table)
        self._observed = observe(data, table, cluster, missing=missing)
        self._scales = scales(self._observed)
        self._table, self._priors = resolve_priors(table, self._scales, priors)
        self._std_lv = std_lv
        self._centring = centring
        self._options: dict[str, Any] = {
            "spec": spec,
            "cluster": cluster,
            "priors": plain_priors(priors),
            "std_lv": bool(std_lv),
            "missing": missing,
            "random": random if random is None or isinstance(random, str) else list(random),
            "centring": centring,
        }
        varying = [row for row in self._table.rows if row.random]
        if self._observed.dropped:
            warnings.warn("\n".join(self.missing.lines), MissingDataWarning, stacklevel=2)
        self._notes = tuple(advice(self._observed, varying))
        for note in self._notes:
            warnings.warn(note, SmallSampleWarning, stacklevel=2)
        for doubt in doubtful_constants(self._table):
            warnings.warn(doubt, IdentificationWarning, stacklevel=2)
        for count in counting_rule(self._table):
            if not count.is_identifiable:
                warnings.warn(str(count), IdentificationWarning, stacklevel=2)

    @property
    def spec(self) -> str:
        """The model text as given."""
        return self._spec

    @property
    def options(self) -> dict[str, Any]:
        """What the model was built with, besides data, in plain values that fit in a file."""
        return dict(self._options)

    @property
    def table(self) -> Any:
        """The parameter table as records (:class:`bayes_msem.spec.table.ParameterTable`)."""
        return self._table

    @cached_property
    def parameter_table(self) -> pd.DataFrame:
        """The parameter table: one row per coefficient, with its prior.

        Columns level, lhs, op, rhs, label, free (0: constant; equal numbers: equal parameters),
        value (constant or starting value), prior and random (name given in ``rv()``).
        """
        return table_frame(self._table)

    @cached_property
    def plan(self) -> Plan:
        """Which random quantities are integrated, which sampled, and why."""
        return make_plan(self._table, incomplete=self._observed.incomplete)

    @cached_property
    def missing(self) -> MissingReport:
        """What is missing in outcomes and indicators: per variable, per pattern, per pair."""
        return missing_report(self._observed)

    @cached_property
    def blueprint(self) -> Blueprint:
        """Structure, priors and data, assembled for the likelihood."""
        return with_pilot(self.unpiloted_blueprint(), self._centring)

    def on(self, observed: ObservedData) -> Model:
        """Return the same model, with the same priors, on other data.

        Scales of default priors are those of the original data, so a refit without some rows or
        clusters answers the same question.

        Parameters
        ----------
        observed
            Data of the same roles, for example some of the clusters.

        Returns
        -------
        Model
        """
        kept = {
            name: value
            for name, value in vars(self).items()
            if not isinstance(getattr(type(self), name, None), cached_property)
        }
        other = object.__new__(type(self))
        vars(other).update(kept)
        other._observed = observed
        return other

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about data of this size: few clusters, few rows. Warned of when built."""
        return self._notes

    @property
    def observed(self) -> ObservedData:
        """The data as the likelihood reads them (:class:`bayes_msem.data.observe.ObservedData`)."""
        return self._observed

    def unpiloted_blueprint(self) -> Blueprint:
        """Return the blueprint with non-centred coordinates of sampled effects."""
        return build_blueprint(self._table, self._priors, self._observed)

    @cached_property
    def pymc_model(self) -> pm.Model:
        """The model as a :class:`pymc.Model`, ready for any PyMC tool.

        One random variable per level, kind of coefficient and prior family, with the table rows as
        coordinates; the observed variable ``y``; and ``effect_coordinates`` if some random
        coefficients are sampled.
        """
        return build_pymc_model(self.blueprint)

    def log_likelihood(self, values: Values, *, effects: pd.DataFrame | None = None) -> float:
        """Log-likelihood at given table values.

        All random effects and factors are integrated out exactly. Where some effects cannot be
        integrated out (see :attr:`plan`), their values must be given.

        Parameters
        ----------
        values
            Mapping {(level, lhs, op, rhs): value} or data frame with columns level, lhs, op,
            rhs and value, for all free rows. Variances are variances; without sampled effects
            they may be negative, as in maximum likelihood solutions, as long as the data keep a
            density.
        effects
            Values of the sampled effects: one row per cluster (index: cluster identifier), one
            column per effect (log SDs, Fisher-z correlations, loadings and slopes as they are).
            The result is then log p(data | effects, values).

        Returns
        -------
        float
            Minus infinity where the implied covariance matrix is not positive definite.

        Raises
        ------
        SpecificationError
            Unknown or missing rows, clusters or effects.
        NotSupportedError
            Some effects cannot be integrated out, and ``effects`` is None.
        """
        theta = theta_from_values(self.blueprint, values)
        if effects is None:
            return likelihood_at(self.blueprint, theta)
        return likelihood_given_effects(self.blueprint, theta, effects)

    def mode(self, *, prior: bool = True) -> Mode:
        """Posterior mode, or the maximum likelihood estimate.

        Parameters
        ----------
        prior
            True: the mode of the posterior on the scale of the priors. False: maximum
            likelihood without bounds, as lavaan and Mplus compute it, with standard errors from
            the observed information (delta method for definitions); warns where it ends at a
            negative variance, and where the information is nearly singular.

        Returns
        -------
        Mode
            Mapping {(level, lhs, op, rhs): value} with ``log_likelihood`` and ``converged``. The
            search starts at several points; further maxima are in ``others``.

        Warns
        -----
        IdentificationWarning
            The likelihood leaves rows undetermined; the warning names them.
        HeywoodWarning, ConvergenceWarning
            Negative variances; no maximum to full precision.
        """
        return posterior_mode(self.blueprint) if prior else maximum_likelihood(self.blueprint)

    def prior_predictive(self, draws: int = 500, *, random_seed: int | None = None) -> xr.DataTree:
        """Draw parameters from the prior and data from the model.

        Parameters
        ----------
        draws
            Number of draws.
        random_seed
            Seed; None draws a new one.

        Returns
        -------
        xarray.DataTree
            Groups prior, prior_predictive and observed_data.
        """
        return draw_prior_predictive(self.pymc_model, draws, seed_of(random_seed))

    def fit(
        self,
        draws: int = 1000,
        tune: int = 1000,
        chains: int = 4,
        *,
        random_seed: int | None = None,
        progress: bool = True,
        cores: int | None = None,
        sampler: Sampler = "nutpie",
        **options: Any,
    ) -> Fit:
        """Sample the posterior with NUTS.

        Parameters
        ----------
        draws, tune, chains
            Draws kept and tuning steps per chain, and number of chains.
        random_seed
            Seed; None draws one, which is recorded in ``fit.datatree.attrs``.
        progress
            Show a progress bar.
        cores
            Chains in parallel; None: all cores.
        sampler
            "nutpie", "pymc", "numpyro" or "blackjax" (the last two need JAX).
        **options
            Passed to the sampler, for example ``target_accept=0.95``.

        Returns
        -------
        Fit

        Raises
        ------
        NotSupportedError
            The sampler needs packages that are not installed.
        SpecificationError
            Unknown sampler.

        Warns
        -----
        ConvergenceWarning
            Divergences, R-hat above 1.01 or few effective draws, with advice; where the posterior
            has several modes, their densities.
        """
        seed = seed_of(random_seed)
        tree = draw_posterior(
            self.blueprint,
            self.pymc_model,
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            random_seed=seed,
            progress=progress,
            sampler=sampler,
            **options,
        )
        record: dict[str, str | int] = {
            "bayes_msem_version": version("bayes_msem"),
            "spec": self._spec,
            "syntax": to_syntax(self._table),
            "cluster": self._observed.cluster_name or "",
            "std_lv": int(self._std_lv),
            "missing": self._options["missing"],
            "random_seed": seed,
            "sampler": sampler,
            "modes": write_modes(found_modes(self.blueprint)),
        }
        fit = Fit(self, complete_tree(tree, self.blueprint, record))
        if fit.convergence.problems:
            modes = fit.convergence.modes
            notes = [str(modes)] if modes and modes.several else []
            problems = "\n".join(f"- {p}" for p in (*fit.convergence.problems, *notes))
            warnings.warn(f"sampling had problems:\n{problems}", ConvergenceWarning, stacklevel=2)
        return fit

    def diagram(self) -> Diagram:
        """Path diagram: boxes are observed, ellipses latent, dots coefficients that vary.

        Returns
        -------
        Diagram
            SVG that notebooks show; ``svg`` is its text and ``save(path)`` writes it. Labels and
            constants are written at their paths; paths fixed at zero are left out.
        """
        return draw_diagram(self._table)

    def __str__(self) -> str:
        """Return roles, parameter table with priors, plan, and a summary of the data."""
        return describe_model(
            self._table,
            self.parameter_table,
            self._observed,
            self.missing.lines,
            str(self.plan),
            (*self._notes, *self._modes_in_words()),
        )

    def _modes_in_words(self) -> tuple[str, ...]:
        """Say that the posterior has several modes, if mode() or fit() have found some."""
        if "blueprint" not in vars(self):
            return ()
        modes = found_modes(self.blueprint)
        return (str(modes),) if modes and modes.message else ()

    __repr__ = __str__


def _check_options(missing: str, centring: str) -> None:
    if centring not in get_args(Centring):
        raise SpecificationError(
            f"centring='{centring}' is unknown; use {', '.join(get_args(Centring))}"
            f"{nearest(str(centring), get_args(Centring))}"
        )
    if missing not in get_args(Missing):
        raise SpecificationError(
            f"missing='{missing}' is unknown; use {' or '.join(get_args(Missing))}"
            f"{nearest(str(missing), get_args(Missing))}"
        )
