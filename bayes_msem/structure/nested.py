"""The template of a three-level model: levels 1 and 2 (structure.model_template), and level 3.

What level 2 is to level 1, level 3 is to level 2. Level 2 models the vector u2 = (a, z2) of a
cluster, with a the linear effects of level 1 and z2 the cluster-level outcomes, given its design
(1, w2). Level 3 models u3 = (c, z3) of a top unit, with c the linear effects of level 2 and z3 the
outcomes of top units, given (1, w3). An effect c_q adds c_q d2[column] to the equation of a level-2
variable, or to an outcome of level 2 directly: the same uses as those of level-1 effects
(structure.effects).
"""

from __future__ import annotations

from dataclasses import dataclass

from bayes_msem.structure.effects import Effects
from bayes_msem.structure.model_template import ModelTemplate
from bayes_msem.structure.templates import LevelTemplate

__all__ = ["NestedTemplate"]


@dataclass(frozen=True, slots=True)
class NestedTemplate:
    """The template of a model with three levels.

    Attributes
    ----------
    lower
        Levels 1 and 2. All three levels point into one value vector, ``(theta, constants)``, whose
        constants are ``lower.constants``.
    top
        Level 3: outcomes u3 = (c, z3), design (1, w3).
    top_effects
        The effects c and their uses at level 2: ``use_variable`` is a position in
        ``lower.between.names`` (-1 - k: directly outcome k of level 2, that is of
        ``lower.between.outcomes``), ``use_column`` a column of (1, w2). None of them is sampled.
    z3_names
        Outcomes of top units, in the order in which they follow c in ``top.outcomes``.
    """

    lower: ModelTemplate
    top: LevelTemplate
    top_effects: Effects
    z3_names: tuple[str, ...]

    @property
    def w3_names(self) -> tuple[str, ...]:
        """Covariates of level 3."""
        return self.top.design[1:]

    @property
    def level_three(self) -> tuple[str, ...]:
        """Names of the level-3 vector u3: effects c, then z3."""
        return self.top.outcomes
