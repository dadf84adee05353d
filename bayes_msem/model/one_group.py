"""One group of a model of several groups, by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from bayes_msem.blueprint.blueprint import Blueprint, build_blueprint
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import NotSupportedError
from bayes_msem.model import Model
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import ParameterTable

if TYPE_CHECKING:
    from bayes_msem.model.group_model import GroupModel

__all__ = ["OneGroup"]

_JOINT = (
    "fit", "mode", "prior_predictive", "prior_implied", "plot_prior_predictive", "pymc_model",
    "to_lavaan", "to_mplus",
)  # fmt: skip


class OneGroup(Model):
    """One group of a model: its rows, data and templates, to look at.

    Its parameters are those of the joint model; what is fitted is the joint model.
    """

    _name: str

    @classmethod
    def of(
        cls,
        whole: GroupModel,
        name: str,
        observed: ObservedData,
        table: ParameterTable,
        priors: Mapping[int, Prior],
    ) -> OneGroup:
        """Cut one group out of a model.

        Parameters
        ----------
        whole
            The model of all groups.
        name
            The group.
        observed, table, priors
            Its data, and its table with numbers and priors of its own.
        """
        kept = {key: vars(whole)[key] for key in ("_spec", "_scales", "_std_lv", "_centring")}
        one = object.__new__(cls)
        vars(one).update(kept)
        vars(one).update(
            _observed=observed, _table=table, _priors=priors, _options=dict(whole.options),
            _remarks=[], _notes=(), _name=name,
        )  # fmt: skip
        return one

    def unpiloted_blueprint(self) -> Blueprint:
        """Return the blueprint of this group alone."""
        return build_blueprint(self._table, self._priors, self._observed)


def _refusal(name: str) -> Any:
    def refused(self: OneGroup, *args: Any, **options: Any) -> NoReturn:
        raise NotSupportedError(
            f"{name} is not available for the group '{self._name}' by itself, because parameters "
            "and priors belong to the model of all groups; use the model that has the groups, or "
            "build a model of this group's rows"
        )

    return property(refused) if name == "pymc_model" else refused


for _word in _JOINT:
    setattr(OneGroup, _word, _refusal(_word))
