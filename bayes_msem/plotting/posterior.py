"""Figures of posterior draws."""

from bayes_msem.plotting.forest import forest
from bayes_msem.plotting.trace import trace

__all__ = ["forest", "trace"]
