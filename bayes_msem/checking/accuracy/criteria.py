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
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.enough import check_enough

__all__ = ["Dic", "Waic", "dic", "waic"]

FloatArray = NDArray[np.float64]

HIGH_VARIANCE = 0.4
_UNITS = {"cluster": "clusters", "observation": "rows"}


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
        units = _UNITS[self.unit]
        lines = [
            f"WAIC over {len(self.pointwise)} {units} (unit='{self.unit}')",
            "",
            f"{'':>10}{'estimate':>12}{'SE':>9}",
            f"{'elpd_waic':>10}{self.elpd:>12.1f}{self.se:>9.1f}",
            f"{'p_waic':>10}{self.p_waic:>12.1f}",
            f"{'waic':>10}{self.waic:>12.1f}{2 * self.se:>9.1f}",
        ]
        if self.n_unreliable:
            lines += [
                "",
                f"{self.n_unreliable} {units} have p_waic above {HIGH_VARIANCE}: WAIC is not "
                "reliable here; use loo(), which says for which units it is.",
            ]
        return "\n".join(lines)


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
        lines = [
            "DIC of the marginal likelihood (random effects integrated out)",
            "",
            f"{'DIC':>26}{self.dic:>12.1f}",
            f"{'mean deviance':>26}{self.mean_deviance:>12.1f}",
            f"{'deviance at the mean':>26}{self.deviance_at_mean:>12.1f}",
            f"{'p_D':>26}{self.p_d:>12.1f}",
            f"{'p_V':>26}{self.p_v:>12.1f}",
        ]
        if self.integration_error > 0:
            lines += ["", f"Standard error from numerical integrals: {self.integration_error:.2g}"]
        if self.p_d < 0:
            lines += [
                "",
                "p_D is negative: the posterior mean is not a good point (the posterior is skewed "
                "or has several modes). Use loo().",
            ]
        return "\n".join(lines)


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
