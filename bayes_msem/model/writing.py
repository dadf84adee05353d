"""A model as text for other programs."""

from __future__ import annotations

from typing import Any

from bayes_msem.arguments import checked
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import NotSupportedError
from bayes_msem.spec.exchange.chosen_priors import chosen_priors
from bayes_msem.spec.exchange.columns_to_make import columns_to_make, with_plain_names
from bayes_msem.spec.exchange.lavaan_writer import to_lavaan
from bayes_msem.spec.exchange.mplus_writer import to_mplus
from bayes_msem.spec.table import ParameterTable
from bayes_msem.spec.variable_scales import Scales

__all__ = ["Writing"]


class Writing:
    """The part of :class:`bayes_msem.Model` that writes texts for other programs."""

    _table: ParameterTable
    _observed: ObservedData
    _scales: Scales
    _options: dict[str, Any]

    def _written(self, what: str) -> tuple[ParameterTable, dict[str, Any]]:
        if self._table.blocks:
            raise NotSupportedError(
                f"{what} does not write exploratory factors, efa(), yet. The model text is "
                "lavaan's own: sem(text, rotation = ...); Mplus has them as f1-f2 BY y1-y9 (*block)"
            )
        coded = self._observed.coded
        parts = {
            name: [(p, coded.category(p) if p.kind == "dummy" else None) for p in members]
            for name, members in coded.columns.items()
        }
        variables = [v for _, v in self._table.roles]
        made = columns_to_make(
            parts,
            [*variables, *coded.sources()],
            with_missing=self._options["missing"] == "listwise",
        )
        priors = chosen_priors(self._table, self._scales)
        table, priors = with_plain_names(self._table, priors, made)
        return table, {
            "cluster": str(self._options["cluster"] or ""),
            "missing": self._options["missing"],
            "exposure": self._options["exposure"],
            "priors": priors,
            "made": list(made.values()),
        }

    @checked()
    def to_lavaan(self) -> str:
        """Write the model as text for lavaan's ``lavaan()``, with every row spelt out.

        Returns
        -------
        str
            Model text, which this package reads as well. The comments above it hold the call in R,
            and name what lavaan does not have: dummies and products (with lines of R that make
            columns of them), loadings, variances and covariances that vary over
            clusters (written as equal in all), logits and counts, ordered outcomes with two
            levels, priors.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ b*ses", data=bm.load_dataset("hsb"))
        >>> print(model.to_lavaan())
        # fit <- lavaan(model, data = data, missing = "ml")
        mach ~ b*ses
        mach ~~ NA*mach
        mach ~ 1
        """
        table, about = self._written("to_lavaan()")
        return to_lavaan(table, **about)

    @checked()
    def to_mplus(self) -> str:
        """Write the model as an Mplus input.

        Returns
        -------
        str
            The input. :func:`bayes_msem.from_mplus` reads it as the same parameter table, unless
            something is missing in Mplus (correlations that vary over clusters, definitions with
            random coefficients, most priors, exposures), or names had to be shortened to eight
            characters: comments name all of it. Dummies and products are columns there, which a
            comment shows how to make.

        Raises
        ------
        NotSupportedError
            A residual log SD has predictors at level within.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ b*ses", data=bm.load_dataset("hsb"))
        >>> print(model.to_mplus())  # doctest: +ELLIPSIS
        ! Priors that are not written are Mplus's own, not those of bayes_msem.
        ...
        MODEL:
            mach ON ses (b);
            mach;
            [mach];
        """
        table, about = self._written("to_mplus()")
        for outcome, log_sd in table.log_sds.items():
            raise NotSupportedError(
                f"'{log_sd}', the log SD of the residuals of '{outcome}', has predictors at level "
                "within, and this is not translated into Mplus's language (its LOGV variables); "
                f"predict '{log_sd}' at level between only, or take model.to_syntax()"
            )
        return to_mplus(table, **about)
