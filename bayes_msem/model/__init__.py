"""Model: a declared structure, its data and its priors."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import pymc as pm
import xarray as xr

from bayes_msem.arguments import MOST_DRAWS, anything, checked, choice, integer, number, shown
from bayes_msem.blueprint.blueprint import Blueprint, reported_form
from bayes_msem.blueprint.known_levels import KnownLevels
from bayes_msem.blueprint.normal_outcomes import check_normal_outcomes
from bayes_msem.blueprint.values import Values, theta_from_values
from bayes_msem.checking.accuracy.marginal import integrated_likelihood
from bayes_msem.checking.priors.prior_draws import prior_predictive_tree
from bayes_msem.data.coded_columns import code_predictors
from bayes_msem.data.frame_checks import check_frame, cluster_columns
from bayes_msem.data.frames import to_pandas_frame
from bayes_msem.data.missing_report import MissingReport, missing_report
from bayes_msem.data.observe import Missing, observe
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.scales import scales
from bayes_msem.display import describe_model, model_html
from bayes_msem.errors import (
    INSIDE,
    ConvergenceWarning,
    IdentificationWarning,
    MissingDataWarning,
    SpecificationError,
)
from bayes_msem.fit import Fit
from bayes_msem.inference.mode import Mode, likelihood_at, maximum_likelihood, posterior_mode
from bayes_msem.inference.options import (
    FIT_ARGUMENTS,
    Sampler,
    check_sampler_can,
    check_sampler_options,
)
from bayes_msem.inference.pilot import Centring, with_pilot
from bayes_msem.inference.pymc_model import build_pymc_model, has_potentials
from bayes_msem.inference.seeds import seed_of
from bayes_msem.inference.singular import check_singular
from bayes_msem.likelihood.plan import Plan, check_plan, make_plan, missing_predictors
from bayes_msem.model.forms import settle_forms
from bayes_msem.model.group_words import check_no_groups
from bayes_msem.model.notes import notes_of, remarks_of, warn_of
from bayes_msem.model.outcomes import named_outcomes, plain_outcomes, read_outcomes
from bayes_msem.model.prior_checks import PriorChecks
from bayes_msem.model.simulation import Simulation
from bayes_msem.model.writing import Writing
from bayes_msem.posterior.datatree import complete_tree
from bayes_msem.posterior.found_modes import FoundModes, found_modes, write_modes
from bayes_msem.posterior.record import (
    check_storable,
    data_record,
    plain_name,
    plain_priors,
    with_recorded_effects,
)
from bayes_msem.posterior.turned import turned_tree
from bayes_msem.simulation.conditional import likelihood_given_effects
from bayes_msem.simulation.from_prior import draw_prior_predictive
from bayes_msem.spec.constants import check_constants, doubtful_constants
from bayes_msem.spec.defaults import RandomCovariances, build_table
from bayes_msem.spec.identification import check_identification, counting_rule
from bayes_msem.spec.pairs import confounded_pairs
from bayes_msem.spec.parser import parse
from bayes_msem.spec.printing import table_frame, to_syntax
from bayes_msem.spec.prior_sets import PriorSetName
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.shorthand import RandomWord, expand_random
from bayes_msem.spec.statements import TWO_LEVELS
from bayes_msem.structure.rotation import Rotation, criterion

if TYPE_CHECKING:
    from bayes_msem.plotting.diagram import Diagram


def _observed(name: str, value: Any) -> ObservedData:
    if not isinstance(value, ObservedData):
        raise SpecificationError(f"{name} must be model.observed or part of it, got {shown(value)}")
    return value


class Model(PriorChecks, Simulation, Writing, KnownLevels):
    """A Bayesian (multilevel) structural equation model.

    Parameters
    ----------
    spec
        Model text in lavaan's syntax, with ``level: within`` and ``level: between`` blocks for
        two-level models. Predictors may hold categories, which become dummies ``x[T.b]``, and
        be products ``x:z`` of observed columns.
    data
        One row per level-1 unit, as a data frame of pandas, polars, pyarrow or any other library
        that narwhals can read. Never modified.
    cluster
        Column with the cluster identifiers; needed for two-level models. Three-level models have
        clusters in larger clusters, and name both columns, the inner one first:
        ``cluster=["class", "school"]``. Their blocks are ``level: within``, ``level: class`` and
        ``level: school`` (or 1, 2, 3).
    priors
        Priors that replace the defaults: ``{key: "normal(0, 1)"}``, where a key is a row
        ("fw =~ y2" or ("within", "fw", "=~", "y2")), a label, or a pattern such as
        ("within", "=~"). Or the name of a set of defaults: "informative" (what
        None means) or "wide", which expects larger slopes between (``docs/priors.md``). In a
        mapping the key "defaults" names the set for all other rows.
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
    random_covariances
        Which covariances of random effects at level between are free unless the text says
        otherwise. "all" (default): those among random intercepts and ``rv()`` coefficients.
        "coefficients": those with at least one ``rv()`` coefficient; intercepts covary as in
        lavaan. "none": coefficients are independent of each other and of all else. Pairs joined
        by a path have none in any case, and rows written in the text stay as they are written.
    centring
        Coordinates in which NUTS samples random coefficients that cannot be integrated out:
        "adaptive" (default) lets the information in each cluster decide, "centred" and
        "noncentred" force one form everywhere. The posterior is the same.
    ordered
        Ordered outcomes and indicators, or True for all observed indicators: each is a latent
        response that thresholds cut into categories (probit link).
    families
        Family by outcome, for those that are not normal: "binary(probit)", "binary(logit)",
        "ordinal(probit)", "ordinal(logit)", "poisson" or "negbinomial".
    exposure
        Column that holds the time or the number at risk of each count, ``{"c": "hours"}``.
    group
        Column of the groups, such as countries: every group has parameters of its own, unless the
        text gives one label (``a*x``) or ``group_equal`` says otherwise (``docs/groups.md``).
        Clusters lie inside groups. The model is a :class:`bayes_msem.model.group_model.GroupModel`.
    group_equal
        What is equal in all groups, in lavaan's words: "loadings", "intercepts", "means",
        "regressions", "residuals", "residual.covariances", "lv.variances", "lv.covariances"; or by
        level, ``{"within": ["loadings"]}``.
    group_partial
        Rows that stay free all the same, such as ["fw =~ y2"].
    wiggle
        What is nearly equal in all groups, in the same words: parameters differ from their average
        by small amounts.
    wiggle_sd
        Prior standard deviation of the difference between two groups, in units of the coefficient:
        0.1 is a tenth of its default scale.
    rotation
        Of exploratory factors, ``efa("block")*f1 + efa("block")*f2 =~ ...``: "geomin" and "oblimin"
        let factors covary, "varimax" does not.

    Raises
    ------
    ModelSyntaxError
        The text cannot be read.
    SpecificationError
        The text declares a model that makes no sense, or a prior does not fit.
    DataError
        The data do not fit the model.
    NotSupportedError
        Identifiers of clusters or rows, or the model text, cannot be saved with a fit.

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

    _KNOWN = frozenset(
        {
            "blueprint",
            "diagram",
            "fit",
            "log_likelihood",
            "missing",
            "mode",
            "notes",
            "observed",
            "on",
            "options",
            "parameter_table",
            "plan",
            "prior_predictive",
            "pymc_model",
            "simulate",
            "spec",
            "table",
            "unpiloted_blueprint",
        }
    )
    _INSTEAD: ClassVar[dict[str, str]] = {
        "to_lavaan": "lavaan has models of two levels at most. ",
        "to_mplus": "Inputs of TYPE = THREELEVEL are not written yet. ",
        "prior_implied": "model.prior_predictive() draws data from the priors. ",
    }

    def _is_three_level(self) -> bool:
        table = vars(self).get("_table")
        return table is not None and table.three_level

    def __new__(cls, *args: Any, **options: Any) -> Model:
        """Make a model of several groups where there is a column of them."""
        if cls is Model and options.get("group") is not None:
            from bayes_msem.model.group_model import GroupModel

            return object.__new__(GroupModel)
        return object.__new__(cls)

    @checked(
        cluster=anything,
        group=anything,
        group_equal=anything,
        group_partial=anything,
        wiggle=anything,
        wiggle_sd=number("a positive number", 0.0, strict=True),
        missing=choice(Missing),
        random_covariances=choice(RandomCovariances),
        centring=choice(Centring),
        rotation=choice(Rotation),
    )
    def __init__(
        self,
        spec: str,
        data: Any,
        *,
        cluster: str | Sequence[str] | None = None,
        priors: Mapping[Any, str | Prior] | PriorSetName | None = None,
        std_lv: bool = False,
        missing: Missing = "fiml",
        random: RandomWord | Sequence[RandomWord] | None = None,
        random_covariances: RandomCovariances = "all",
        centring: Centring = "adaptive",
        ordered: Sequence[str] | bool | None = None,
        families: Mapping[str, str] | None = None,
        exposure: Mapping[str, str] | None = None,
        group: str | None = None,
        group_equal: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        group_partial: Sequence[Any] | None = None,
        wiggle: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        wiggle_sd: float = 0.1,
        rotation: Rotation = "geomin",
    ) -> None:
        # with a group, __new__ has made a GroupModel
        check_no_groups(group_equal, group_partial, wiggle)
        self._spec = spec
        data = to_pandas_frame(data)
        check_frame(data)  # before names are looked up: its message names the real culprit
        names = cluster_columns(cluster, list(data.columns))
        inner: str | None = names[0] if names else None
        top: str | None = names[1] if len(names) > 1 else None
        levels = ("within", *names) if top is not None else TWO_LEVELS
        declared = named_outcomes(ordered, families)
        predictors = code_predictors(data, parse(spec, levels), inner, declared)
        data, parsed = predictors.frame, predictors.parsed
        columns = list(data.columns)
        outcomes = read_outcomes(data, parsed, inner, ordered, families, exposure)
        parsed = expand_random(
            parsed,
            random,
            columns,
            cluster=inner,
            std_lv=std_lv,
            families=outcomes.families,
            categories=outcomes.categories,
        )
        table = build_table(
            parsed,
            columns,
            cluster=inner,
            std_lv=std_lv,
            random_covariances=random_covariances,
            families=outcomes.families,
            categories=outcomes.categories,
            oblique=not criterion(rotation).orthogonal,
        )
        check_constants(table)
        check_identification(table)
        check_singular(table)
        self._observed = observe(
            data,
            table,
            inner,
            top=top,
            missing=missing,
            codings=outcomes.codings,
            exposure=outcomes.exposure,
            coded=predictors.coded,
        )
        check_storable(self._observed, spec)  # now, and not after hours of sampling
        self._scales = scales(self._observed)
        self._forms = settle_forms(table, self._observed, self._scales, priors)
        self._table, self._priors = self._forms.table, self._forms.priors
        self._rotation: Rotation = rotation
        self._std_lv = std_lv
        self._centring = centring
        self._options: dict[str, Any] = {
            "spec": spec,
            "cluster": plain_name(inner) if top is None else list(names),
            "priors": plain_priors(priors),
            "std_lv": bool(std_lv),
            "missing": missing,
            "random": random if random is None or isinstance(random, str) else list(random),
            "random_covariances": random_covariances,
            "centring": centring,
            **({"rotation": rotation} if table.blocks else {}),
            **plain_outcomes(ordered, families, exposure),
        }
        if self._observed.dropped:
            warnings.warn(
                "\n".join(self.missing.lines), MissingDataWarning, skip_file_prefixes=INSIDE
            )
        notes = notes_of(parsed, columns, table, self._observed, predictors.notes)
        self._remarks = remarks_of(table, priors, random_covariances) + self._forms.remarks(
            rotation
        )
        self._notes = tuple(note.text for note in notes)
        warn_of(notes)
        for doubt in doubtful_constants(self._table):
            warnings.warn(doubt, IdentificationWarning, skip_file_prefixes=INSIDE)
        for count in counting_rule(self._forms.counted):
            if not count.is_identifiable:
                warnings.warn(str(count), IdentificationWarning, skip_file_prefixes=INSIDE)
        for message in confounded_pairs(table):  # before default priors stand in the rows
            warnings.warn(message, IdentificationWarning, skip_file_prefixes=INSIDE)
        check_plan(self._table, self._observed)

    @property
    def spec(self) -> str:
        """The model text as given.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> model.spec
        'mach ~ ses'
        """
        return self._spec

    @property
    def options(self) -> dict[str, Any]:
        """What the model was built with, besides data, in plain values that fit in a file.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> model.options["missing"]
        'fiml'
        """
        return dict(self._options)

    @property
    def table(self) -> Any:
        """The parameter table as records (:class:`bayes_msem.spec.table.ParameterTable`).

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> [row.op for row in model.table.rows]
        ['~', '~~', '~']
        """
        return self._table

    @cached_property
    def parameter_table(self) -> pd.DataFrame:
        """The parameter table: one row per coefficient, with its prior.

        Columns level, lhs, op, rhs, label, free (0: constant; equal numbers: equal parameters),
        value (constant or starting value), prior and random (name given in ``rv()``).

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> model.parameter_table["op"].tolist()
        ['~', '~~', '~']
        """
        return table_frame(self._table)

    @cached_property
    def plan(self) -> Plan:
        """Which random quantities are integrated, which sampled, and why.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> model.plan.sampled
        ()
        """
        unknown = missing_predictors(self._table, self._observed)
        return make_plan(self._table, incomplete=self._observed.incomplete, unknown=unknown)

    @cached_property
    def missing(self) -> MissingReport:
        """What is missing in outcomes and indicators: per variable, per pattern, per pair.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> model.missing.lines
        []
        """
        return missing_report(self._observed)

    @cached_property
    def blueprint(self) -> Blueprint:
        """Structure, priors and data, assembled for the likelihood.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> model.blueprint.n_sampled
        0
        """
        return reported_form(with_pilot(self.unpiloted_blueprint().to_sample, self._centring))

    @checked(observed=_observed)
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

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> model.on(model.observed).spec == model.spec
        True
        """
        kept = self._given()
        other = object.__new__(type(self))
        vars(other).update(kept)
        other._observed = observed
        return other

    def _given(self) -> dict[str, Any]:
        """Attributes without what is computed from them when it is asked for."""
        return {
            name: value
            for name, value in vars(self).items()
            if not isinstance(getattr(type(self), name, None), cached_property)
        }

    def __getstate__(self) -> dict[str, Any]:
        """Say what copies and other processes get.

        The PyMC model holds functions that cannot be sent, and is built again. The blueprint goes
        along: the coordinates of sampled effects in the draws of a fit are its own.
        """
        state = self._given()
        if "blueprint" in vars(self):
            state["blueprint"] = self.blueprint
        return state

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about text and data: few clusters, codes that may mean missing, ...

        Those that may make numbers wrong were warned of when the model was built.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> model.notes
        ()
        """
        return self._notes

    @property
    def observed(self) -> ObservedData:
        """The data as the likelihood reads them: ``data.observed_data.ObservedData``.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> model.observed.y_names, model.observed.n_rows
        (('mach',), 7185)
        """
        return self._observed

    def unpiloted_blueprint(self) -> Blueprint:
        """Return the blueprint with non-centred coordinates of sampled effects.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> model.unpiloted_blueprint().n_sampled
        0
        """
        return self._forms.blueprint(self._observed, self._rotation)

    @cached_property
    def pymc_model(self) -> pm.Model:
        """The model as a :class:`pymc.Model`, ready for any PyMC tool.

        One random variable per level, kind of coefficient and prior family, with the table rows as
        coordinates; the observed variable ``y``; ``effect_coordinates`` if some random coefficients
        are sampled; and ``score_coordinates`` if scores are (outcomes that are not normal).

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> [variable.name for variable in model.pymc_model.free_RVs]
        ['within_regression', 'within_sd', 'within_intercept']
        """
        return build_pymc_model(self.blueprint.to_sample)

    @checked()
    def log_likelihood(self, values: Values, *, effects: pd.DataFrame | None = None) -> float:
        """Log-likelihood at given table values.

        All random effects and factors are integrated out exactly. Where some effects cannot be
        integrated out (see :attr:`plan`), their values must be given.

        With outcomes that are not normal, effects and scores are integrated numerically, around
        their modes at these values: adaptive Gauss-Hermite quadrature, and importance sampling
        where there are more than five effects per cluster. Nodes are added until the estimated
        error is 0.02.

        Parameters
        ----------
        values
            Mapping {row: value}, rows by key (level, lhs, op, rhs), text or label, or data frame
            with columns level, lhs, op, rhs and value, for all free rows. Variances are variances;
            without sampled effects they may be negative, as in maximum likelihood solutions, as
            long as the data keep a density.
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

        Warns
        -----
        AccuracyWarning
            The numerical integral may be off by more than 0.1.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> mode = model.mode(prior=False)
        >>> round(model.log_likelihood(mode) - mode.log_likelihood, 6)
        0.0
        """
        if self.plan.name == "augmented":
            plain = self.unpiloted_blueprint()
            return integrated_likelihood(plain, theta_from_values(plain, values), effects)
        theta = theta_from_values(self.blueprint, values)
        if effects is None:
            return likelihood_at(self.blueprint, theta)
        return likelihood_given_effects(self.blueprint, theta, effects)

    @checked()
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

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> mode = model.mode(prior=False)
        >>> round(mode["within", "mach", "~", "ses"], 2)
        3.18
        >>> mode.converged
        True
        """
        self._check_free("nothing to estimate")
        check_normal_outcomes(
            self.unpiloted_blueprint(),
            "model.mode()",
            "model.fit() estimates it",
        )
        blueprint = self.blueprint.to_sample
        return posterior_mode(blueprint) if prior else maximum_likelihood(blueprint)

    @checked(draws=integer(1, MOST_DRAWS))
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

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> tree = model.prior_predictive(draws=5, random_seed=1)
        >>> sorted(tree.children)
        ['observed_data', 'prior', 'prior_predictive']
        """
        self._check_free("no prior to draw from; simulate() draws data from its constants")
        if self.plan.name == "augmented" or self._table.three_level:
            return prior_predictive_tree(self.unpiloted_blueprint(), draws, seed_of(random_seed))
        return draw_prior_predictive(self.pymc_model, draws, seed_of(random_seed))

    @checked(**FIT_ARGUMENTS)
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
            Draws kept and tuning steps per chain, and number of chains; each at least 1. (Without
            tuning there is neither a step size nor a scale, so ``tune=0`` is refused.)
        random_seed
            Seed; None draws one, which is recorded in ``fit.datatree.attrs``.
        progress
            Show a progress bar.
        cores
            Chains in parallel; None: all cores.
        sampler
            "nutpie", "pymc", "numpyro" or "blackjax" (the last two need JAX).
        **options
            Passed to the sampler, for example ``target_accept=0.95``. What it does not know is
            refused before anything is compiled.

        Returns
        -------
        Fit

        Raises
        ------
        NotSupportedError
            The sampler needs packages that are not installed.
        SpecificationError
            An unknown sampler, a value that an argument cannot have, or a model without free
            parameters.
        ArgumentError
            An option that the sampler does not know.

        Warns
        -----
        ConvergenceWarning
            Divergences, R-hat above 1.01 or few effective draws, with advice; where the posterior
            has several modes, their densities.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> fit = model.fit(draws=500, chains=4, random_seed=1)  # doctest: +SKIP
        >>> fit.summary()  # doctest: +SKIP
        >>> model.fit(draws=0)
        Traceback (most recent call last):
        bayes_msem.errors.SpecificationError: draws must be an integer, such as 1000,...
        """
        options = check_sampler_options(sampler, options)
        check_sampler_can(sampler, self._table.responses)
        self._check_free("nothing to sample")
        # nutpie comes with all of ArviZ: what is refused need not wait for it
        from bayes_msem.inference.sample import draw_posterior

        seed = seed_of(random_seed)
        to_sample = self.blueprint.to_sample
        tree = draw_posterior(
            to_sample,
            lambda: self.pymc_model,
            potentials="pymc_model" in vars(self) and has_potentials(self.pymc_model, to_sample),
            draws=draws,
            tune=tune,
            chains=chains,
            cores=None if cores is None else min(cores, chains),  # a thread each
            random_seed=seed,
            progress=progress,
            sampler=sampler,
            **options,
        )
        modes = found_modes(to_sample)
        if to_sample.turning is not None:
            tree, modes = turned_tree(tree, to_sample, modes)
        fit = self._finished(tree, self._record(seed, sampler, modes))
        if fit.convergence.problems:
            message = f"sampling had problems: {fit.convergence}"
            warnings.warn(message, ConvergenceWarning, skip_file_prefixes=INSIDE)
        return fit

    def _record(self, seed: int, sampler: str, modes: FoundModes | None) -> dict[str, str | int]:
        """Return what a fit remembers of its run."""
        return {
            "bayes_msem_version": version("bayes_msem"),
            "spec": self._spec,
            "syntax": to_syntax(self._table),
            "cluster": ", ".join(map(str, self._observed.cluster_names)),
            "std_lv": int(self._std_lv),
            "missing": self._options["missing"],
            "random_seed": seed,
            "sampler": sampler,
            "modes": write_modes(modes),
        }

    def _data_record(self) -> xr.Dataset:
        """Return what a file holds of the data."""
        return data_record(self._observed)

    def _with_draws(self, tree: xr.DataTree) -> Fit:
        """Return a fit of this model whose draws have been completed before."""
        return Fit(self, tree)

    def _recorded_blueprint(self, record: xr.Dataset) -> Blueprint:
        """Return the blueprint with the coordinates of effects that a file holds."""
        return reported_form(with_recorded_effects(self.unpiloted_blueprint().to_sample, record))

    def _finished(self, tree: xr.DataTree, record: dict[str, str | int]) -> Fit:
        return Fit(self, complete_tree(tree, self.blueprint, record))

    def _check_free(self, consequence: str) -> None:
        """Raise SpecificationError if every row is a constant; ``consequence`` says what lacks."""
        if not any(row.free for row in self._table.rows):
            raise SpecificationError(
                "the model has no free parameter: every row of its parameter table is a constant, "
                f"so there is {consequence}; free a row by removing the number before its variable"
            )

    @checked()
    def diagram(self) -> Diagram:
        """Path diagram: boxes are observed, ellipses latent, dots coefficients that vary.

        Returns
        -------
        Diagram
            Picture that notebooks show; ``save(path)`` writes it as SVG, PNG or PDF, and ``svg``
            is its text. Labels and constants are written at their paths; paths fixed at zero are
            left out. Everything stands where it stands in the diagrams of a fit.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> "<svg" in model.diagram().svg
        True
        """
        from bayes_msem.plotting.diagram import draw_diagram

        return draw_diagram(self._table)

    def __str__(self) -> str:
        """Return roles, parameter table with priors, plan, and a summary of the data."""
        return describe_model(*self._described())

    def _repr_html_(self) -> str:
        """Notebook display."""
        return model_html(*self._described())

    def _described(self) -> tuple[Any, ...]:
        return (
            self._table,
            self.parameter_table,
            self._observed,
            self.missing.lines,
            str(self.plan),
            [*self._notes, *self._remarks, *self._modes_in_words()],
            self._options["random_covariances"],
        )

    def _modes_in_words(self) -> tuple[str, ...]:
        """Say that the posterior has several modes, if mode() or fit() have found some."""
        if "blueprint" not in vars(self):
            return ()
        modes = found_modes(self.blueprint.to_sample)
        return (str(modes),) if modes and modes.message else ()

    __repr__ = __str__


def _signature_of_init() -> inspect.Signature:
    """Arguments of a model, which ``__new__`` takes as they come."""
    found = inspect.signature(Model.__init__)
    return found.replace(parameters=list(found.parameters.values())[1:])


Model.__signature__ = _signature_of_init()  # type: ignore[attr-defined]
