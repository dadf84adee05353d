r"""WAIC and DIC, for those who report them; LOO (checking.accuracy.loo) is the better tool.

WAIC of units i, with mean and variance over posterior draws,

    elpd_waic = sum_i log E p(y_i | theta) - p ,   p = sum_i V_i ,   V_i = Var log p(y_i | theta)

(Watanabe 2010; Vehtari et al. 2017). Terms with V_i above 0.4 are unreliable.

DIC from the *marginal* deviance D(theta) = -2 log p(y, z | theta), random effects integrated out,

    DIC = E D + p_D ,   p_D = E D - D(E theta) ,   p_V = Var D / 2

where E theta is the posterior mean of the parameters on the scale on which they are sampled:
standard deviations and partial correlations, not (co)variances (Spiegelhalter et al. 2002; p_V:
Gelman et al. 2014). In latent variable models the conditional DIC, with latent variables among the
parameters, answers another question and is not computed (Merkle et al. 2019).

References
----------
Gelman, A., Hwang, J., & Vehtari, A. (2014). Understanding predictive information criteria for
Bayesian models. Statistics and Computing, 24, 997-1016. https://doi.org/10.1007/s11222-013-9416-2

Merkle, E. C., Furr, D., & Rabe-Hesketh, S. (2019). Bayesian comparison of latent variable models.
Psychometrika, 84, 802-829. https://doi.org/10.1007/s11336-019-09679-0

Spiegelhalter, D. J., Best, N. G., Carlin, B. P., & van der Linde, A. (2002). Bayesian measures of
model complexity and fit. Journal of the Royal Statistical Society B, 64, 583-639.
https://doi.org/10.1111/1467-9868.00353

Watanabe, S. (2010). Asymptotic equivalence of Bayes cross validation and widely applicable
information criterion in singular learning theory. Journal of Machine Learning Research, 11,
3571-3594. https://jmlr.org/papers/v11/watanabe10a.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.accuracy.integral import ClusterIntegral
from bayes_msem.checking.accuracy.log_likelihood import UNIT_DIMENSION, Unit
from bayes_msem.checking.accuracy.loo import lppd
from bayes_msem.inference.density import joint_log_likelihood
from bayes_msem.markup import block, grid, text_paragraph
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.enough import check_enough

__all__ = ["Dic", "Waic", "dic", "waic"]

FloatArray = NDArray[np.float64]

HIGH_VARIANCE = 0.4
_UNITS = {"cluster": "clusters", "observation": "rows", "top": "top units"}


_DIC_TITLE = "DIC of the marginal likelihood (random effects integrated out)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Waic:
    """Result of :meth:`bayes_msem.Fit.waic`.

    Attributes
    ----------
    unit
        "cluster" or "observation", see :meth:`bayes_msem.Fit.log_likelihood`.
    elpd, se
        Expected log predictive density and its standard error.
    p_waic
        Effective number of parameters.
    pointwise
        Data frame with columns elpd and p_waic; index: cluster identifiers or row labels.

    Examples
    --------
    >>> fit.waic().unit
    'cluster'
    """

    unit: Unit
    elpd: float
    se: float
    p_waic: float
    pointwise: pd.DataFrame

    @property
    def waic(self) -> float:
        """On the scale of the deviance: -2 elpd.

        Examples
        --------
        >>> waic = fit.waic()
        >>> waic.waic == -2 * waic.elpd
        True
        """
        return -2.0 * self.elpd

    @property
    def n_unreliable(self) -> int:
        """Number of units whose log-likelihood has a posterior variance above 0.4.

        Examples
        --------
        >>> fit.waic().n_unreliable <= 160
        True
        """
        return int((self.pointwise["p_waic"] > HIGH_VARIANCE).sum())

    def __repr__(self) -> str:
        """Return a small table."""
        rows = [f"{name:>10}{value:>12}{se:>9}".rstrip() for name, value, se in self._numbers()]
        note = ["", self._note()] if self._note() else []
        return "\n".join([self._title(), "", f"{'':>10}{'estimate':>12}{'SE':>9}", *rows, *note])

    def _repr_html_(self) -> str:
        """Notebook display."""
        numbers = grid(("", "estimate", "SE"), self._numbers())
        return block(text_paragraph(self._title()), numbers, text_paragraph(self._note()))

    def _title(self) -> str:
        return f"WAIC over {len(self.pointwise)} {_UNITS[self.unit]} (unit='{self.unit}')"

    def _numbers(self) -> list[tuple[str, str, str]]:
        return [
            ("elpd_waic", f"{self.elpd:.1f}", f"{self.se:.1f}"),
            ("p_waic", f"{self.p_waic:.1f}", ""),
            ("waic", f"{self.waic:.1f}", f"{2 * self.se:.1f}"),
        ]

    def _note(self) -> str:
        if not self.n_unreliable:
            return ""
        return (
            f"{self.n_unreliable} {_UNITS[self.unit]} have p_waic above {HIGH_VARIANCE}: WAIC is "
            "not reliable here; use loo(), which says for which units it is."
        )


def waic(log_likelihood: xr.DataArray, unit: Unit, labels: pd.Index[Any]) -> Waic:
    """Compute WAIC from log-likelihoods (chain, draw, unit)."""
    p = log_likelihood.transpose("chain", "draw", UNIT_DIMENSION[unit]).to_numpy()
    check_enough(p.shape[0] * p.shape[1], 2, "WAIC")
    variance = p.reshape(-1, p.shape[-1]).var(axis=0, ddof=1)
    terms = lppd(log_likelihood, unit) - variance
    return Waic(
        unit=unit,
        elpd=float(terms.sum()),
        se=float(np.sqrt(len(terms) * terms.var(ddof=1))),
        p_waic=float(variance.sum()),
        pointwise=pd.DataFrame({"elpd": terms, "p_waic": variance}, index=labels),
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dic:
    """Result of :meth:`bayes_msem.Fit.dic`.

    Attributes
    ----------
    dic
        Mean deviance plus p_D.
    mean_deviance
        Posterior mean of -2 log p(y, z | theta).
    deviance_at_mean
        Deviance at the posterior mean of the sampled parameters.
    p_v
        Half the posterior variance of the deviance, another effective number of parameters.
    integration_error
        Standard error of ``dic`` from numerical integrals; 0 if all are exact.

    Examples
    --------
    >>> dic = fit.dic()
    >>> bool(dic.dic > dic.deviance_at_mean)
    True
    """

    dic: float
    mean_deviance: float
    deviance_at_mean: float
    p_v: float
    integration_error: float

    @property
    def p_d(self) -> float:
        """Effective number of parameters.

        Examples
        --------
        >>> dic = fit.dic()
        >>> bool(abs(dic.deviance_at_mean + 2 * dic.p_d - dic.dic) < 1e-6)
        True
        """
        return self.mean_deviance - self.deviance_at_mean

    def __repr__(self) -> str:
        """Return a small table."""
        lines = [_DIC_TITLE, ""]
        lines += [f"{name:>26}{value:>12}" for name, value in self._numbers()]
        for note in self._notes():
            lines += ["", note]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Notebook display."""
        notes = [text_paragraph(note) for note in self._notes()]
        return block(text_paragraph(_DIC_TITLE), grid(("", "estimate"), self._numbers()), *notes)

    def _numbers(self) -> list[tuple[str, str]]:
        return [
            ("DIC", f"{self.dic:.1f}"),
            ("mean deviance", f"{self.mean_deviance:.1f}"),
            ("deviance at the mean", f"{self.deviance_at_mean:.1f}"),
            ("p_D", f"{self.p_d:.1f}"),
            ("p_V", f"{self.p_v:.1f}"),
        ]

    def _notes(self) -> list[str]:
        notes = []
        if self.integration_error > 0:
            notes.append(f"Standard error from numerical integrals: {self.integration_error:.2g}")
        if self.p_d < 0:
            notes.append(
                "p_D is negative: the posterior mean is not a good point (the posterior is skewed "
                "or has several modes). Use loo()."
            )
        return notes


def dic(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    log_likelihood: xr.DataArray,
    errors: xr.DataArray | None,
    integral: ClusterIntegral | None,
) -> Dic:
    """Compute DIC.

    Parameters
    ----------
    blueprint, posterior
        The model and its draws.
    log_likelihood
        Marginal log-likelihoods of clusters, or of rows in single-level models.
    errors
        Their standard errors, if they are numerical integrals.
    integral
        Integrates sampled effects; None if there are none.

    Returns
    -------
    Dic
    """
    deviance = -2.0 * log_likelihood.to_numpy().sum(axis=-1)
    check_enough(deviance.size, 2, "DIC")
    x = sampled_parameters(blueprint, posterior).mean(axis=(0, 1))
    if integral is None:
        at_mean, error_at_mean = -2.0 * joint_log_likelihood(blueprint, x)[0], 0.0
    else:
        values, se = integral(np.ascontiguousarray(blueprint.extend_sampled(x)))
        at_mean, error_at_mean = -2.0 * float(values.sum()), 2.0 * float(np.sqrt((se**2).sum()))
    mean = float(deviance.mean())
    of_mean = 0.0
    if errors is not None:
        of_mean = 2.0 * float(np.sqrt((errors.to_numpy() ** 2).sum())) / deviance.size
    return Dic(
        dic=2.0 * mean - at_mean,
        mean_deviance=mean,
        deviance_at_mean=at_mean,
        p_v=float(deviance.var(ddof=1) / 2.0),
        integration_error=float(np.hypot(2.0 * of_mean, error_at_mean)),
    )
