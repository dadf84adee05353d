"""A model of several groups, which :class:`bayes_msem.Model` makes where it is given ``group``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pandas as pd
import xarray as xr

from bayes_msem.arguments import anything, checked, choice, number
from bayes_msem.blueprint.blueprint import Blueprint, with_approximation
from bayes_msem.blueprint.group_values import joint_keys, joint_values, table_of_group
from bayes_msem.blueprint.grouped_blueprint import build_grouped, likelihood_parts
from bayes_msem.blueprint.values import Values, theta_from_values
from bayes_msem.data.coded_columns import code_predictors
from bayes_msem.data.frame_checks import check_cluster_name, check_frame
from bayes_msem.data.frames import to_pandas_frame
from bayes_msem.data.group_column import read_groups
from bayes_msem.data.observe import Missing, observe
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.scales import scales
from bayes_msem.errors import (
    INSIDE,
    DataError,
    IdentificationWarning,
    MissingDataWarning,
    NotSupportedError,
)
from bayes_msem.inference.mode import Mode, likelihood_at, maximum_likelihood, posterior_mode
from bayes_msem.inference.options import FIT_ARGUMENTS, Sampler
from bayes_msem.inference.pilot import Centring
from bayes_msem.inference.seeds import seed_of, seeds_of_groups
from bayes_msem.inference.singular import check_singular
from bayes_msem.likelihood.plan import Plan, check_plan, make_plan
from bayes_msem.model import Model
from bayes_msem.model.group_reading import (
    check_group_unused,
    observed_group,
    own_rows,
    places_of_groups,
    plain_rows,
    plain_words,
    refuse_outcomes,
)
from bayes_msem.model.group_words import refuse_declared
from bayes_msem.model.notes import Note, notes_of, remarks_of, warn_of
from bayes_msem.model.one_group import OneGroup
from bayes_msem.model.outcomes import plain_outcomes
from bayes_msem.posterior.group_draws import group_tree
from bayes_msem.posterior.record import (
    check_storable,
    data_record,
    plain_name,
    plain_priors,
    with_groups,
)
from bayes_msem.simulation.conditional import likelihood_given_effects
from bayes_msem.spec.constants import check_constants, doubtful_constants
from bayes_msem.spec.defaults import RandomCovariances, declare
from bayes_msem.spec.group_equality import partial_rows, read_equal
from bayes_msem.spec.group_modifiers import in_group
from bayes_msem.spec.group_priors import group_priors, prior_texts, wide_group_priors
from bayes_msem.spec.group_tables import GroupTables, build_group_tables
from bayes_msem.spec.identification import check_identification, counting_rule
from bayes_msem.spec.pairs import confounded_pairs
from bayes_msem.spec.parser import parse
from bayes_msem.spec.printing import table_frame
from bayes_msem.spec.row_names import ByRow
from bayes_msem.spec.shorthand import expand_random
from bayes_msem.spec.table import RowKey
from bayes_msem.wording import plural

if TYPE_CHECKING:
    from bayes_msem.fit.group_fit import GroupFit

__all__ = ["GroupModel"]


class GroupModel(Model):
    """A model of several groups: ``bm.Model(spec, data, group="country")``.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"), group="sector")
    >>> type(model).__name__, list(model.groups)
    ('GroupModel', ['0', '1'])
    """

    @checked(
        group=anything,
        cluster=anything,
        priors=anything,
        missing=choice(Missing),
        random=anything,
        random_covariances=choice(RandomCovariances),
        centring=choice(Centring),
        ordered=anything,
        families=anything,
        exposure=anything,
        group_equal=anything,
        group_partial=anything,
        wiggle=anything,
        wiggle_sd=number("a positive number", 0.0, strict=True),
    )
    def __init__(
        self,
        spec: str,
        data: Any,
        *,
        group: Any,
        cluster: Any = None,
        priors: Any = None,
        std_lv: bool = False,
        missing: Any = "fiml",
        random: Any = None,
        random_covariances: Any = "all",
        centring: Any = "adaptive",
        ordered: Any = None,
        families: Any = None,
        exposure: Any = None,
        group_equal: Any = None,
        group_partial: Any = None,
        wiggle: Any = None,
        wiggle_sd: float = 0.1,
    ) -> None:
        self._spec = spec
        data = to_pandas_frame(data)
        check_frame(data)
        check_cluster_name(cluster, list(data.columns))
        self._groups = groups = read_groups(data, group, cluster)
        names, every = groups.names, []
        text = parse(spec)
        check_group_unused(group, text)
        refuse_outcomes(ordered, families, exposure)
        equal = read_equal("group_equal", group_equal, two_level=text.two_level)
        nearly = read_equal("wiggle", wiggle, two_level=text.two_level)
        frame = data
        for g in range(len(names)):
            predictors = code_predictors(data, in_group(text, g, names), cluster, [])
            frame = predictors.frame
            columns = list(frame.columns)
            every.append(
                expand_random(predictors.parsed, random, columns, cluster=cluster, std_lv=std_lv)
            )
        declared = [
            declare(
                one, columns, cluster=cluster, std_lv=std_lv, random_covariances=random_covariances
            )
            for one in every
        ]
        refuse_declared(declared[0])
        partial = partial_rows(group_partial, declared[0].rows)

        def tables_of(equal: Any, nearly: Any) -> GroupTables:
            return build_group_tables(
                every, declared, names, columns,
                equal=equal, nearly=nearly, partial=partial, std_lv=std_lv,
            )  # fmt: skip

        tables = tables_of(equal, nearly)
        none = dict.fromkeys(equal, frozenset[str]())
        both = {level: equal[level] | nearly[level] for level in equal}
        twin = tables_of(both, none) if tables.extra else tables
        check_identification(tables.modelled)
        for table in tables.local:
            check_constants(table)
            check_singular(table)
        self._parts = tuple(
            observed_group(
                frame.iloc[groups.rows(g)], table, cluster, missing, predictors.coded, name
            )
            for g, (name, table) in enumerate(zip(names, tables.local, strict=True))
        )
        self._observed = observe(
            frame, tables.local[0], cluster, missing=missing, coded=predictors.coded
        )
        check_storable(self._observed, spec)
        self._places = places_of_groups(
            frame, tables.local[0], cluster, missing, predictors.coded, groups
        )
        self._scales = scales(self._observed)
        self._priors = group_priors(tables, twin, self._scales, priors, wiggle_sd)
        self._wide = wide_group_priors(tables, twin, self._scales, wiggle_sd)
        self._tables = tables.with_priors(prior_texts(tables.joint, self._priors))
        self._table = self._tables.shown
        self._std_lv = std_lv
        self._centring = centring
        self._options = {
            "spec": spec,
            "cluster": plain_name(cluster),
            "priors": plain_priors(priors),
            "std_lv": bool(std_lv),
            "missing": missing,
            "random": random if random is None or isinstance(random, str) else list(random),
            "random_covariances": random_covariances,
            "centring": centring,
            **plain_outcomes(None, None, None),
            "group": plain_name(group),
            "group_equal": plain_words(group_equal),
            "group_partial": plain_rows(group_partial),
            "wiggle": plain_words(wiggle),
            "wiggle_sd": float(wiggle_sd),
        }
        if self._observed.dropped:
            lines = "\n".join(self.missing.lines)
            warnings.warn(lines, MissingDataWarning, skip_file_prefixes=INSIDE)
        self._remarks = remarks_of(self._tables.local[0], None, random_covariances)
        self._say(every, columns, predictors.notes)

    def _say(
        self, parsed: Sequence[Any], columns: Sequence[str], predictors: Sequence[str]
    ) -> None:
        """Collect the notes of all groups, and warn of what may make numbers wrong."""
        found: dict[tuple[str, type[Any] | None], list[str]] = {}
        rows = zip(self._groups.names, parsed, self._tables.local, self._parts, strict=True)
        for name, one, table, observed in rows:
            own = [*notes_of(one, columns, table, observed, predictors)]
            own += [Note(text, IdentificationWarning) for text in doubtful_constants(table)]
            own += [
                Note(str(count), IdentificationWarning)
                for count in counting_rule(own_rows(table))
                if not count.is_identifiable
            ]
            own += [Note(text, IdentificationWarning) for text in confounded_pairs(table)]
            check_plan(table, observed)
            for note in own:
                found.setdefault((note.text, note.warning), []).append(name)
        notes = [
            Note(
                text if len(names) == len(parsed) else f"Group {', '.join(names)}: {text}", warning
            )
            for (text, warning), names in found.items()
        ]
        self._notes = tuple(note.text for note in notes)
        warn_of(notes)

    @property
    def tables(self) -> GroupTables:
        """The tables of all groups (spec.group_tables)."""
        return self._tables

    @property
    def group_names(self) -> tuple[str, ...]:
        """The groups, in their order."""
        return self._groups.names

    @cached_property
    def positions(self) -> list[Any]:
        """Positions of the rows of every group in ``observed``."""
        return self._places

    def rows_of(self, frame: Any, name: str) -> pd.DataFrame:
        """Rows of one group in another data frame with the column of the groups."""
        column = self._groups.column
        if not isinstance(frame, pd.DataFrame) or column not in frame.columns:
            raise DataError(
                f"newdata must be a data frame with the column {column!r} of the groups"
            )
        unknown = set(frame[column].dropna().astype(str)) - set(self._groups.names)
        if unknown or frame[column].isna().any():
            raise DataError(
                f"newdata has rows of no known group ({', '.join(sorted(unknown)) or 'missing'}); "
                f"groups are {', '.join(self._groups.names)}"
            )
        rows: pd.DataFrame = frame[frame[column].astype(str) == name]
        return rows

    def groups_with(self, joint: Blueprint) -> dict[str, Model]:
        """Return the models of the groups, with the coordinates of effects of a joint blueprint."""
        found: dict[str, Model] = {}
        for (name, one), part in zip(self.groups.items(), joint.parts, strict=True):
            copy = one.on(one.observed)
            own = copy.unpiloted_blueprint()
            if own.n_sampled:
                own = with_approximation(own, part.likelihood.approximation, None)
            vars(copy)["blueprint"] = own
            found[name] = copy
        return found

    @cached_property
    def groups(self) -> Mapping[str, Model]:
        """The model of each group by itself: its rows, data and templates, group -> model.

        What groups share is not shared here; so these models show matrices, data and diagrams,
        but are not fitted.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"), group="sector")
        >>> model.groups["1"].observed.n_rows
        3543
        """
        return MappingProxyType(
            {
                name: self._group(g, name, observed)
                for g, (name, observed) in enumerate(
                    zip(self._groups.names, self._parts, strict=True)
                )
            }
        )

    def _group(self, number: int, name: str, observed: ObservedData) -> Model:
        table, priors = table_of_group(self._tables, number, self._priors, self._scales)
        return OneGroup.of(self, name, observed, table, priors)

    @cached_property
    def parameter_table(self) -> pd.DataFrame:
        """The parameter table, with a column ``group``; equal numbers are equal parameters.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"), group="sector")
        >>> model.parameter_table["free"].tolist()
        [1, 2, 3, 4, 5, 6]
        """
        return table_frame(self._table)

    @cached_property
    def plan(self) -> Plan:
        """Which random quantities are integrated, which sampled, and why: the same in all groups.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"), group="sector")
        >>> model.plan.name
        'marginal'
        """
        return make_plan(
            self._tables.local[0], incomplete=any(own.incomplete for own in self._parts)
        )

    def unpiloted_blueprint(self) -> Blueprint:
        """Return the joint blueprint (blueprint.grouped_blueprint)."""
        return build_grouped(self._tables, self._priors, self._wide, self._parts)

    @checked()
    def log_likelihood(self, values: Values, *, effects: pd.DataFrame | None = None) -> float:
        """Log-likelihood of all groups at given table values; see :meth:`bayes_msem.Model`.

        Parameters
        ----------
        values
            As for one group; keys may have the group as a fifth part. A key without a group stands
            for the rows of all groups.
        effects
            Values of the sampled effects of the clusters of all groups.

        Returns
        -------
        float

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"), group="sector")
        >>> mode = model.mode(prior=False)
        >>> round(model.log_likelihood(mode) - mode.log_likelihood, 6)
        0.0
        """
        theta = self._theta(values)
        if effects is None:
            return likelihood_at(self.blueprint, theta)
        return likelihood_given_effects(self.blueprint, theta, effects)

    def _theta(self, values: Values) -> Any:
        blueprint = self.blueprint
        return theta_from_values(blueprint, joint_values(self._tables, values))

    @checked()
    def mode(self, *, prior: bool = True) -> Mode:
        """Posterior mode, or the maximum likelihood estimate; see :meth:`bayes_msem.Model.mode`.

        Parameters
        ----------
        prior
            False: maximum likelihood without bounds.

        Returns
        -------
        Mode
            Keys have the group as a fifth part.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"), group="sector")
        >>> mode = model.mode(prior=False)
        >>> round(mode["within", "mach", "~", "ses", "0"], 2), round(mode["mach ~ ses [1]"], 2)
        (3.46, 2.35)
        """
        self._check_free("nothing to estimate")
        if not prior and self._tables.extra:
            raise NotSupportedError(
                "mode(prior=False): parameters that are nearly equal (wiggle) are so by their "
                "priors, which maximum likelihood does not know; use mode(), model.fit(), or "
                "group_equal in the place of wiggle"
            )
        found = posterior_mode(self.blueprint) if prior else maximum_likelihood(self.blueprint)
        return _public(found, self._tables)

    @checked()
    def simulate(  # type: ignore[override]
        self, values: Values, *, random_seed: int | None = None, keep_missing: bool = False
    ) -> pd.DataFrame:
        """Simulate data of all groups at given values; see :meth:`bayes_msem.Model.simulate`.

        Parameters
        ----------
        values
            For all free rows; keys may have the group as a fifth part.
        random_seed
            Seed; None draws a new one.
        keep_missing
            Remove what is missing in the data.

        Returns
        -------
        pandas.DataFrame
            Rows of the data, with simulated outcomes and the column of the groups, in the order of
            the data.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"), group="sector")
        >>> model.simulate(model.mode(), random_seed=1).columns.tolist()
        ['sector', 'mach', 'ses']
        """
        theta = self._theta(values)
        seeds = seeds_of_groups(seed_of(random_seed), len(self._parts))
        frames = []
        joint = self.blueprint
        for g, (label, model) in enumerate(
            zip(self._groups.labels, self.groups.values(), strict=True)
        ):
            keys = joint_keys(self._tables, g)
            own = {
                row.key: float(joint.row_value(keys[row.key], theta))
                for row in model.table.rows
                if row.free
            }
            frame = model.simulate(own, random_seed=seeds[g], keep_missing=keep_missing)
            frame.insert(0, self._groups.column, [label] * len(frame))
            frame["_position"] = self._places[g]
            frames.append(frame)
        return pd.concat(frames).sort_values("_position").drop(columns="_position")

    def _described(self) -> tuple[Any, ...]:
        _, frame, observed, missing, *rest = super()._described()
        lines = [self._groups_in_words(), *missing]
        return (self._tables.local[0], frame, observed, lines, *rest)

    def _groups_in_words(self) -> str:
        counts = [
            f"{name} ({plural(own.n_rows, 'row')}"
            + (f" in {plural(own.n_clusters, 'cluster')})" if own.two_level else ")")
            for name, own in zip(self._groups.names, self._parts, strict=True)
        ]
        return f"{len(counts)} groups ('{self._groups.column}'): {', '.join(counts)}"

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
    ) -> GroupFit:
        """Sample the posterior of all groups with NUTS; see :meth:`bayes_msem.Model.fit`.

        Parameters
        ----------
        draws, tune, chains, random_seed, progress, cores, **options
            As there.
        sampler
            "nutpie" only.

        Returns
        -------
        GroupFit
        """
        if sampler != "nutpie":
            raise NotSupportedError(
                f"sampler={sampler!r} samples PyMC's graph, which models of several groups do not "
                "have; leave it out"
            )
        found = super().fit(
            draws,
            tune,
            chains,
            random_seed=random_seed,
            progress=progress,
            cores=cores,
            **options,
        )
        return cast("GroupFit", found)

    def _with_draws(self, tree: xr.DataTree) -> GroupFit:
        """Return a fit of this model whose draws have been completed before."""
        from bayes_msem.fit.group_fit import GroupFit

        return GroupFit(self, tree)

    def _recorded_blueprint(self, record: xr.Dataset) -> Blueprint:
        """Return the blueprint with the coordinates of effects that a file holds."""
        joint = super()._recorded_blueprint(record)
        parts = [
            replace(part, likelihood=own)
            for part, own in zip(joint.parts, likelihood_parts(joint), strict=True)
        ]
        return replace(joint, parts=tuple(parts))

    def _data_record(self) -> xr.Dataset:
        """Return what a file holds of the data."""
        return with_groups(data_record(self._observed), self._groups, self._places)

    def _finished(self, tree: xr.DataTree, record: dict[str, str | int]) -> GroupFit:
        from bayes_msem.fit.group_fit import GroupFit

        complete = group_tree(
            tree, self.blueprint, self._observed, self._tables, self._groups, record
        )
        return GroupFit(self, complete)


def _public(mode: Mode, tables: GroupTables) -> Mode:
    """Name the rows of a mode as users see them."""
    key = {j.key: p.key for j, p in zip(tables.joint.rows, tables.public, strict=True)}

    def renamed(values: Mapping[RowKey, float]) -> ByRow[float]:
        return ByRow(tables.public, {key[k]: v for k, v in values.items()})

    return replace(
        mode,
        estimates=renamed(mode.estimates),
        standard_errors=renamed(mode.standard_errors) if mode.standard_errors else {},
        others=tuple(_public(other, tables) for other in mode.others),
    )


def _refusal(method: str, why: str) -> Any:
    def refused(self: GroupModel, *args: Any, **options: Any) -> NoReturn:
        raise NotSupportedError(f"model.{method} is not there for several groups yet: {why}")

    refused.__name__ = method
    refused.__doc__ = f"Refuse: {why}."
    return property(refused) if method == "pymc_model" else refused


_NOT_YET = {
    "pymc_model": "the model is sampled without PyMC's graph; model.groups[...] has the models of "
    "single groups",
    "prior_predictive": "look at a model of the rows of each group, which has the same kind of "
    "priors",
    "prior_implied": "look at a model of the rows of each group, which has the same kind of priors",
    "plot_prior_predictive": "look at a model of the rows of each group, which has the same kind "
    "of priors",
    "on": "build the model with the other data",
    "diagram": "draw one group, model.groups[...].diagram()",
    "to_lavaan": "write the text of one group by hand with group.equal in R",
    "to_mplus": "write the input of one group by hand with GROUPING in Mplus",
}
for _name, _why in _NOT_YET.items():
    setattr(GroupModel, _name, _refusal(_name, _why))
