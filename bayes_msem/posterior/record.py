"""What a saved fit holds besides its draws: data, coordinates of effects, options."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_msem.blueprint.blueprint import Blueprint, with_approximation
from bayes_msem.data.group_column import Groups
from bayes_msem.data.observed_data import ObservedData, categorical, given_columns_of
from bayes_msem.errors import NotSupportedError
from bayes_msem.likelihood.approximation import Approximation
from bayes_msem.posterior.labels import (
    check_labels,
    check_text,
    from_plain,
    pack_labels,
    to_plain,
    unpack_labels,
)
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.user_priors import DEFAULTS_KEY, prior_set_of

_SEVERAL = "cluster columns"


def check_storable(observed: ObservedData, spec: str) -> None:
    """Raise NotSupportedError if a fit of this model could not be saved.

    Parameters
    ----------
    observed
        The data, with identifiers of clusters and rows.
    spec
        The model text.
    """
    check_text([spec], "the model text")
    places = {"the index of data": observed.row_index}
    if observed.cluster is not None:
        where = f"the cluster column {observed.cluster_name!r}"
        places[where] = observed.cluster_ids
        check_text([observed.cluster_name, *observed.cluster_ids], where)
    if observed.parent is not None:
        where = f"the cluster column {observed.top_name!r}"
        places[where] = observed.top_ids
        check_text([observed.top_name, *observed.top_ids], where)
    for categories in (observed.categories, observed.coded.categories):
        for name, labels in categories.items():
            check_text(labels, f"the categories of {name!r}")
        _plain_categories(categories)
    for place, index in places.items():
        try:
            check_labels(index)
        except NotSupportedError as error:
            raise NotSupportedError(f"{place}: {error}") from error


def data_record(observed: ObservedData) -> xr.Dataset:
    """Store the columns that the model reads, with the identifiers of clusters and rows."""
    columns = given_columns_of(observed, observed.y, observed.z)
    record = xr.Dataset()
    if observed.cluster is not None:
        values, about = pack_labels(observed.cluster_ids)
        record["cluster_label"] = xr.Variable(("cluster",), values, {"labels": about})
        record["cluster_of_row"] = (("row",), np.asarray(observed.cluster))
    if observed.parent is not None:
        values, about = pack_labels(observed.top_ids)
        record["top_label"] = xr.Variable(("top",), values, {"labels": about})
        record["top_of_cluster"] = (("cluster",), np.asarray(observed.parent))
    kinds = {"categories": observed.categories, "of_predictors": observed.coded.categories}
    for key, categories in kinds.items():
        if categories:
            labels = json.dumps(_plain_categories(categories))
            record[key] = (("record",), np.array([labels], dtype=object))
    values, about = pack_labels(observed.row_index)
    record["row_label"] = xr.Variable(("row",), values, {"labels": about})
    record["values"] = (("row", "column"), np.column_stack(list(columns.values())))
    return record.assign_coords(column=np.array(list(columns), dtype=object))


def with_groups(record: xr.Dataset, groups: Groups, places: Sequence[Any]) -> xr.Dataset:
    """Add the groups of the rows to a record of the data of all groups.

    Parameters
    ----------
    record
        As :func:`data_record` returns it.
    groups
        The groups, in their order.
    places
        Positions of the rows of every group.
    """
    codes = np.empty(record.sizes["row"], dtype=np.int64)
    for g, rows in enumerate(places):
        codes[rows] = g
    values, about = pack_labels(pd.Index(groups.labels))
    record["group_label"] = xr.Variable(("group",), values, {"labels": about})
    record["group_of_row"] = (("row",), codes)
    return record


def data_frame(record: xr.Dataset, cluster: Any, group: Any = None) -> pd.DataFrame:
    """Reverse of :func:`data_record`: a frame from which the same model follows."""
    index = unpack_labels(record["row_label"].to_numpy(), record["row_label"].attrs["labels"])
    names = [str(name) for name in record["column"].to_numpy()]
    frame = pd.DataFrame(record["values"].to_numpy(), index=index, columns=names)
    inner, top = cluster if isinstance(cluster, list) else (cluster, None)
    if inner is not None:
        stored = record["cluster_label"]
        ids = unpack_labels(stored.to_numpy(), stored.attrs["labels"])
        frame[inner] = ids.take(record["cluster_of_row"].to_numpy()).array
    if top is not None:
        stored = record["top_label"]
        ids = unpack_labels(stored.to_numpy(), stored.attrs["labels"])
        of_row = record["top_of_cluster"].to_numpy()[record["cluster_of_row"].to_numpy()]
        frame[top] = ids.take(of_row).array
    if group is not None:
        stored = record["group_label"]
        ids = unpack_labels(stored.to_numpy(), stored.attrs["labels"])
        frame[group] = pd.Categorical.from_codes(record["group_of_row"].to_numpy(), ids)
    for name, labels in _read_categories(record, "categories").items():
        codes = frame[name].to_numpy()
        whole = np.where(np.isnan(codes), -1.0, codes).astype(np.int64)
        index = pd.Index(labels, dtype=object)
        frame[name] = pd.Categorical.from_codes(whole, index, ordered=True)
    for name, labels in _read_categories(record, "of_predictors").items():
        frame[name] = categorical(frame[name].to_numpy(), labels)
    return frame


def _read_categories(record: xr.Dataset, key: str) -> dict[str, tuple[Any, ...]]:
    if key not in record:
        return {}
    stored = json.loads(str(record[key].to_numpy()[0]))
    return {name: tuple(from_plain(pair) for pair in plain) for name, plain in stored.items()}


def _plain_categories(categories: Mapping[str, tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Labels of categories as JSON-able values."""
    plain: dict[str, list[Any]] = {}
    for name, labels in categories.items():
        try:
            plain[name] = [to_plain(label) for label in labels]
        except NotSupportedError as error:
            raise NotSupportedError(f"the categories of {name!r}: {error}") from error
    return plain


def effects_record(blueprint: Blueprint) -> xr.Dataset:
    """Store the coordinates in which effects and scores were sampled; empty if none were."""
    likelihood = blueprint.likelihood
    record = xr.Dataset()
    if likelihood.n_sampled:
        approximation = likelihood.approximation
        dims = ("cluster", "effect_row", "effect_column")
        record["information"] = (dims, approximation.information)
        record["linear"] = (("cluster", "effect_row"), approximation.linear)
        record["given"] = (("cluster", "cluster_variable"), approximation.z)
    if likelihood.responses is not None:
        cells = ("sorted_row", "response")
        record["working_weight"] = (cells, likelihood.responses.weight)
        record["working_response"] = (cells, likelihood.responses.target)
        if likelihood.responses.of_clusters is not None:
            cells = ("cluster", "cluster_response")
            record["cluster_weight"] = (cells, likelihood.responses.z_weight)
            record["cluster_target"] = (cells, likelihood.responses.z_target)
        if likelihood.responses.template.carried:
            stars = ("sorted_row", "carried_response")
            record["carried_response"] = (stars, likelihood.responses.carried)
    if not record:
        return record
    if blueprint.pilot is not None:
        record["pilot"] = (("parameter",), blueprint.pilot)
    return record


def with_recorded_effects(blueprint: Blueprint, record: xr.Dataset) -> Blueprint:
    """Reverse of :func:`effects_record`, on a blueprint without a pilot."""
    pilot = np.ascontiguousarray(record["pilot"].to_numpy()) if "pilot" in record else None
    if "working_weight" in record:
        weight, target = record["working_weight"].to_numpy(), record["working_response"].to_numpy()
        carried = np.empty((len(weight), 0))
        if "carried_response" in record:
            carried = record["carried_response"].to_numpy()
        working = map(np.ascontiguousarray, (weight, target, carried))
        likelihood = blueprint.likelihood.with_working(*working)
        if "cluster_weight" in record:
            assert likelihood.responses is not None
            found = (record[name].to_numpy() for name in ("cluster_weight", "cluster_target"))
            own = likelihood.responses.with_cluster_working(*map(np.ascontiguousarray, found))
            likelihood = replace(likelihood, responses=own)
        blueprint = replace(blueprint, likelihood=likelihood, pilot=pilot)
    if "information" not in record:
        return blueprint
    information, linear = (record[name].to_numpy() for name in ("information", "linear"))
    # files of earlier versions condition on nothing
    given = record["given"].to_numpy() if "given" in record else np.empty((len(linear), 0))
    approximation = Approximation(information, linear, blueprint.n_sampled, given)
    return with_approximation(blueprint, approximation, pilot)


def read_rows(plain: Any) -> Any:
    """Rows named in options, where keys are lists."""
    if plain is None or isinstance(plain, str):
        return plain
    return [row if isinstance(row, str) else tuple(row) for row in plain]


def plain_name(name: Any) -> Any:
    """Name of a column as a JSON-able value: text and whole numbers as they are.

    The names of two cluster columns, a list, become a mapping, since other names become lists.
    """
    if isinstance(name, list):
        return {_SEVERAL: name}
    name = name.item() if isinstance(name, np.generic) else name
    return name if name is None or type(name) in (str, int) else to_plain(name)


def read_name(plain: Any) -> Any:
    """Reverse of :func:`plain_name`."""
    if isinstance(plain, dict):
        return list(plain[_SEVERAL])
    return from_plain(plain) if isinstance(plain, list) else plain


def plain_priors(priors: Mapping[Any, str | Prior] | str | None) -> list[list[Any]] | str | None:
    """Priors given by the user as JSON-able values, the set of defaults always among them."""
    if not isinstance(priors, Mapping):
        return prior_set_of(priors)
    named = {DEFAULTS_KEY: prior_set_of(priors), **priors}
    return [[to_plain(key), str(prior)] for key, prior in named.items()]


def read_priors(plain: list[list[Any]] | str | None) -> dict[Any, str] | str | None:
    """Reverse of :func:`plain_priors`.

    Files of earlier versions name no set where the user named none: they have the wide one.
    """
    if plain is None or isinstance(plain, str):
        return plain or "wide"
    return {DEFAULTS_KEY: "wide"} | {from_plain(key): prior for key, prior in plain}
