"""Hypotheses: what the posterior says of comparisons of parameters."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bayes_msem.arguments import checked, floats, mapping, several, shown
from bayes_msem.blueprint.rotated import check_unturned
from bayes_msem.checking.hypotheses import evaluate_hypotheses
from bayes_msem.checking.hypothesis_result import HypothesisResult
from bayes_msem.checking.priors.prior_advice import priors_of_sets
from bayes_msem.errors import INSIDE, SpecificationError, SpecificationWarning
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.summary import IntervalKind
from bayes_msem.spec.hypothesis_text import Hypothesis, parse_hypothesis
from bayes_msem.spec.statements import TWO_LEVELS

__all__ = ["HypothesisTests"]


def _statements(name: str, value: Any) -> dict[str, str]:
    """Check one text, several, or texts by name; unnamed ones are H1, H2, ..."""
    if isinstance(value, str):
        texts = {"H1": value}
    elif isinstance(value, Mapping):
        texts = mapping(name, value)
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, set, frozenset)):
        texts = {f"H{i + 1}": one for i, one in enumerate(several(name, value))}
    else:
        texts = {"H1": value}  # refused below
    if not texts:
        raise SpecificationError(f"{name} is empty; give one such as 'b > 0'")
    for key, text in texts.items():
        if not isinstance(text, str) or not isinstance(key, str):
            raise SpecificationError(
                f"{name} must be text such as 'b > 0', a list of texts, or a dict from names to "
                f"texts; got {shown(text)} for {shown(key)}"
            )
    return dict(texts)


def _region(name: str, value: Any) -> tuple[float, float]:
    ends = floats(name, value) if isinstance(value, (tuple, list)) else ()
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise SpecificationError(
            f"{name} must be (low, high) with low below high, got {shown(value)}"
        )
    return ends[0], ends[1]


class HypothesisTests(FitCore):
    """The part of :class:`bayes_msem.Fit` that weighs hypotheses."""

    @checked(hypotheses=_statements, rope=_region)
    def hypothesis(
        self,
        hypotheses: str | Sequence[str] | Mapping[str, str],
        *,
        rope: tuple[float, float] | None = None,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        random_seed: int | None = None,
    ) -> HypothesisResult:
        """Ask how probable a hypothesis about the parameters is.

        Parameters
        ----------
        hypotheses
            Text such as ``"bb > bw"``, a list of texts, or a dict from names to texts. Sides are
            arithmetic of labels, defined parameters, numbers and rows of the parameter table, as
            in ``"between: y ~ x > 2*within: y ~ x"``. ``&`` joins comparisons that must hold
            together, and so do chains: ``"a > b > c"``. ``"a = b"`` asks for the evidence for
            equality.
        rope
            (low, high), a region of practical equivalence of left - right.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the intervals of left - right.
        random_seed
            Seed of the draws from the prior; None: that of the fit.

        Returns
        -------
        HypothesisResult
            ``table`` with, per hypothesis: mean, median, sd, lower and upper of left - right;
            probability and its Monte Carlo error (mcse); evidence_ratio, the posterior odds;
            direction, the probability of direction; in_rope; prior_probability, from 20,000 draws
            from the prior (2,000 where the model defines means of random coefficients);
            bayes_factor, posterior odds over prior odds, or, of an equality, the density of the
            posterior over that of the prior at equality. ``notes`` and ``draws`` besides.

        Raises
        ------
        ModelSyntaxError
            A text that cannot be read, with the column.
        SpecificationError
            An unknown name, a coefficient that varies over clusters, a comparison of constants, or
            an empty ``rope``.
        NotSupportedError
            An equality without densities that can be had: of products, ratios or variances, at the
            edge of the support of a prior, or joined with other comparisons.

        Warns
        -----
        SpecificationWarning
            An equality is measured against default priors. Its Bayes factor is proportional to
            their width.

        References
        ----------
        Wagenmakers, E.-J., Lodewyckx, T., Kuriyal, H., & Grasman, R. (2010). Bayesian hypothesis
        testing for psychologists: A tutorial on the Savage-Dickey method. Cognitive Psychology,
        60(3), 158-189. https://doi.org/10.1016/j.cogpsych.2009.12.001

        Examples
        --------
        >>> result = fit.hypothesis("mach ~ sector > 0 & slope ~ sector < 0", rope=(-0.1, 0.1))
        >>> result.table[["name", "hypothesis", "probability"]].to_numpy().tolist()[1:]
        [['H1.1', 'mach ~ sector > 0', 1.0], ['H1.2', 'slope ~ sector < 0', 1.0]]
        """
        table = self.model.table
        levels = table.levels if table.three_level else TWO_LEVELS
        read: dict[str, Hypothesis] = {
            name: parse_hypothesis(text, levels)
            for name, text in hypotheses.items()  # type: ignore[union-attr]
        }
        check_unturned(
            self.model.blueprint, "fit.hypothesis()", "Count draws: (fit.draws[row] > 0).mean()"
        )
        seed = int(self.datatree.attrs["random_seed"]) if random_seed is None else random_seed
        result, defaults = evaluate_hypotheses(
            self.model.blueprint,
            self.draws,
            read,
            rope=rope,
            ci=ci,
            ci_kind=ci_kind,
            random_seed=seed,
            default_priors=self._default_priors(),
            grade=self.convergence.grade,
        )
        if defaults:
            warnings.warn(
                "bayes_factor of an equality is proportional to the width of the priors, and these "
                f"are defaults, which nobody chose for this question: {', '.join(defaults)}. Set "
                "priors= of the model to what is expected if the equality is wrong",
                SpecificationWarning,
                skip_file_prefixes=INSIDE,
            )
        return result

    def _default_priors(self) -> tuple[int, ...]:
        """Numbers of the free parameters whose prior is the default."""
        blueprint = self.model.blueprint
        usual = priors_of_sets(blueprint).values()
        return tuple(
            n for n, prior in blueprint.priors.items() if any(u.get(n) == prior for u in usual)
        )
