r"""Thresholds from shares of categories.

What is sampled for the K - 1 thresholds of an ordered outcome are the fractions v_c that category c
takes of what earlier ones have left, as in breaking a stick: with Q_0 = 1,

    p_c = Q_{c-1} v_c ,   Q_c = Q_{c-1} (1 - v_c) ,   tau_c = S Phi^-1(1 - Q_c) .

Beta priors of the fractions are a Dirichlet prior of the shares p. S is the standard deviation that
the prior assumes of the response. Thresholds are ordered by construction.
"""

from __future__ import annotations

import math

from bayes_msem.kernels.compile import inner_kernel

_ROOT_2PI = math.sqrt(2.0 * math.pi)
_EDGE = math.log(0.075)  # the tails of AS 241 begin here


# Coefficients of AS 241: numerator and denominator in the middle, in the tails, and far out.
_MIDDLE = (
    (
        3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
        1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
        3.3430575583588128105e4, 2.5090809287301226727e3,
    ),
    (
        1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
        2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)  # fmt: skip
_TAIL = (
    (
        1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
        3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
        2.27238449892691845833e-2, 7.74545014278341407640e-4,
    ),
    (
        1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
        1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)  # fmt: skip
_FAR = (
    (
        6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
        2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
        2.71155556874348757815e-5, 2.01033439929228813265e-7,
    ),
    (
        1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
        7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)  # fmt: skip


@inner_kernel
def _ratio(r, coefficients):
    top, bottom = coefficients
    numerator, denominator = top[7], bottom[7]
    for i in range(6, -1, -1):
        numerator = numerator * r + top[i]
        denominator = denominator * r + bottom[i]
    return numerator / denominator


@inner_kernel
def normal_quantile(p, rest):
    """Quantile of the standard normal at p, given ``rest`` = 1 - p with all its digits.

    Wichura (1988), algorithm AS 241, https://doi.org/10.2307/2347330.
    """
    q = p - 0.5
    if abs(q) <= 0.425:
        return q * _ratio(0.180625 - q * q, _MIDDLE)
    value = _tail_quantile(math.log(min(p, rest)))
    return value if q < 0.0 else -value


@inner_kernel
def _tail_quantile(log_p):
    """Quantile at p < .075, given log p, which may be -1e5."""
    r = math.sqrt(-log_p)
    if r == math.inf:
        return -r
    return -_ratio(r - 1.6, _TAIL) if r <= 5.0 else -_ratio(r - 5.0, _FAR)


@inner_kernel
def normal_quantile_of_logs(below, above):
    """Quantile of the standard normal at p, given log p and log(1 - p), which may be -1e5."""
    low = min(below, above)
    if low > _EDGE:
        return normal_quantile(math.exp(below), math.exp(above))
    value = _tail_quantile(low)
    return value if below < above else -value


@inner_kernel
def thresholds_forward(x, thresholds, theta):
    """Fill the thresholds in ``theta``."""
    first = 0
    for outcome in range(len(thresholds.size)):
        below, rest = 0.0, 1.0
        for c in range(first, first + thresholds.size[outcome]):
            i = thresholds.position[c]
            below += rest * x[i]
            rest *= 1.0 - x[i]
            theta[i] = thresholds.scale[outcome] * normal_quantile(below, rest)
        first += thresholds.size[outcome]


@inner_kernel
def thresholds_back(x, thresholds, d_theta, d_x):
    """Add to ``d_x`` what the gradient of the thresholds says.

    d tau_c / d v_i = S Q_c / (phi(tau_c / S) (1 - v_i)) for i <= c.
    """
    first = 0
    for outcome in range(len(thresholds.size)):
        below, rest, scale = 0.0, 1.0, thresholds.scale[outcome]
        for c in range(first, first + thresholds.size[outcome]):
            i = thresholds.position[c]
            below += rest * x[i]
            rest *= 1.0 - x[i]
            z = normal_quantile(below, rest)
            slope = d_theta[i] * scale * rest * _ROOT_2PI * math.exp(0.5 * z * z)
            for m in range(first, c + 1):
                d_x[thresholds.position[m]] += slope / (1.0 - x[thresholds.position[m]])
        first += thresholds.size[outcome]
