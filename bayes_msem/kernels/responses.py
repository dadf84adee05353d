r"""Log density of one cell given its linear predictor, for every family, with derivatives.

For an outcome y with linear predictor eta:

    gaussian      y ~ N(eta, dispersion)
    scaled        y ~ N(eta, exp(2 delta)) ,  delta a linear predictor of its own (log_sd)
    ordered       y = c where  lower < y* <= upper ,  y* = eta + e ,  e standard normal (probit) or
                  logistic (logit);   p = F(upper - eta) - F(lower - eta)
    poisson       y ~ Poisson(m) ,  m = exp(eta)
    negbinomial   mean m, variance m + alpha m^2 with alpha = dispersion > 0

No digits are lost where probabilities are close to 0, to 1, or to each other. With a = lower - eta,
b = upper - eta, w = upper - lower = 2 h, c = (a + b) / 2, and Mills' ratio M(z) = Phi(-z) / phi(z):

- Probits are reflected such that c <= 0. With both ends in the left tail,
  log p = log Phi(b) + log(1 - e^(w c) M(-a) / M(-b)); otherwise p = 1 - Phi(a) - Phi(-b).
- Where h is small, differences of both kinds cancel, and p = 2 h phi(c) S(c) with
  S(c) = sum_k He_2k(c) h^2k / (2k + 1)! and Hermite's polynomials He. d log p / d eta = c - S'/S.
- Logits: p = F(b) (1 - F(a)) (1 - e^-w), three factors with all their digits.
- Counts: from 16 on, Stirling's series is written out, so that large terms cancel on paper.

All densities are log-concave in eta: the working weight, - d^2 log p / d eta^2, is not negative.
That of delta is the expected one.
Thresholds must not cross: where lower is upper, log p is minus infinity.
"""

from __future__ import annotations

import math

from bayes_msem.kernels.compile import inner_kernel, kernel

# Codes of the families; outcomes.families has their names.
GAUSSIAN, PROBIT, LOGIT, POISSON, NEGBINOMIAL, SCALED, LOG_SD = range(7)

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
NARROW = 0.15  # h, times |c| if that is above 1: what the series leaves out is below 1e-12
TAIL = 500.0  # ends of intervals above this: the truncated normal is an exponential
FEW = 16.0  # counts below this need no series
NO_DISPERSION = 1e-290  # below this 1 / alpha is no number: Poisson

# Coefficients of t^22, t^20, ... and of t^21, t^19, ... in the polynomial of mills_ratio.
MILLS_EVEN = (
    -3.874300207686973e-09, 4.372207364651429e-08, -2.7628944223830873e-07, 1.3805876779523012e-06,
    -6.546928120500802e-06, 3.4156106940806135e-05, -0.00022021482490664187, 0.001741848641757937,
    -0.01253910360671188, -0.08070800967978549, 0.03509188023476339, 1.1832619145678034,
)  # fmt: skip
MILLS_ODD = (
    3.975086281603316e-09, -2.0579230893245287e-08, -3.782823803093328e-08, 1.0505607515808403e-06,
    -8.6243130137115e-06, 5.327390113799152e-05, -0.0002367034604386502, -0.0007159506500420829,
    0.044959129055799664, 0.07169048120225552, -0.2423996705218174,
)  # fmt: skip


@kernel
def response(code, y, eta, lower, upper, dispersion):
    """Log density of a cell and its derivatives.

    Parameters
    ----------
    code
        Family.
    y, eta
        Outcome and linear predictor, with the log of the exposure for counts. Ordered outcomes are
        known by their thresholds alone.
    lower, upper
        Thresholds around the observed category, lower < upper, infinite at the ends.
    dispersion
        Residual variance (gaussian) or alpha (negbinomial).

    Returns
    -------
    tuple of float
        log p(y | eta) and its derivatives with respect to eta, lower, upper and dispersion.
    """
    value = _cell(code, y, eta, lower, upper, dispersion)
    return value[0], value[1], value[2], value[3], value[4]


@kernel
def working_weight(code, y, eta, lower, upper, dispersion):
    """Observed information about eta, the negative second derivative of the log density."""
    return _cell(code, y, eta, lower, upper, dispersion)[5]


@inner_kernel
def scaled(y, eta, delta):
    """Log density of N(eta, exp(2 delta)), and its derivatives in eta and delta.

    The expected information about (eta, delta) is diag(exp(-2 delta), 2).
    """
    weight = math.exp(-2.0 * delta)
    slope = (y - eta) * weight
    squares = (y - eta) * slope
    return -HALF_LOG_2PI - delta - 0.5 * squares, slope, squares - 1.0


@inner_kernel
def _cell(code, y, eta, lower, upper, dispersion):
    """Log density, derivatives (eta, lower, upper, dispersion), and working weight."""
    if code == PROBIT:
        log_p, slope, d_lower, d_upper, weight = _probit(lower, upper, eta)
        return log_p, slope, d_lower, d_upper, 0.0, weight
    if code == LOGIT:
        log_p, slope, d_lower, d_upper, weight = _logit(lower, upper, eta)
        return log_p, slope, d_lower, d_upper, 0.0, weight
    if code == POISSON:
        log_p, slope, weight = _poisson(y, eta)
        return log_p, slope, 0.0, 0.0, 0.0, weight
    if code == NEGBINOMIAL:
        log_p, slope, d_dispersion, weight = _negbinomial(y, eta, dispersion)
        return log_p, slope, 0.0, 0.0, d_dispersion, weight
    weight = 1.0 / dispersion
    slope = (y - eta) * weight
    log_p = -HALF_LOG_2PI + 0.5 * (math.log(weight) - (y - eta) * slope)
    return log_p, slope, 0.0, 0.0, 0.5 * (slope * slope - weight), weight


# Ordered: probit --------------------------------------------------------------------------------


@kernel
def mills_ratio(z):
    """Phi(-z) / phi(z) for z >= 0, to 3e-15 of it (beyond 1e154: 0).

    (1 + z) M(z) is a polynomial of degree 22 in t = (z - 4) / (z + 4): the Chebyshev expansion,
    truncated where it is below 5e-16 and written in powers of t.
    """
    inverse = 1.0 / ((z + 4.0) * (z + 1.0))
    t = 1.0 - 8.0 * ((z + 1.0) * inverse)
    s = t * t
    even, odd = 0.0, 0.0
    for coefficient in MILLS_EVEN:
        even = even * s + coefficient
    for coefficient in MILLS_ODD:
        odd = odd * s + coefficient
    return (even + t * odd) * ((z + 4.0) * inverse)


@inner_kernel
def _probit(lower, upper, eta):
    """Reflect what lies right of eta; then one threshold, a narrow interval, or a wide one."""
    a, b, half = lower - eta, upper - eta, 0.5 * (upper - lower)
    if half == math.inf:
        if a == -math.inf:
            log_p, slope, weight = _below(b)
            return log_p, -slope, 0.0, slope, weight
        log_p, slope, weight = _below(-a)
        return log_p, slope, -slope, 0.0, weight
    middle = 0.5 * (lower + upper) - eta
    flip = middle > 0.0
    if flip:
        a, b, middle = -b, -a, -middle
    if half * max(1.0, -middle) < NARROW:
        log_p, slope, d_a, d_b, weight = _narrow(middle, half)
    else:
        log_p, slope, d_a, d_b, weight = _interval(a, b, middle, half)
    if flip:
        return log_p, -slope, -d_b, -d_a, weight
    return log_p, slope, d_a, d_b, weight


@kernel
def log_below(z):
    """Log Phi(z)."""
    return -math.inf if z == -math.inf else _below(z)[0]


@inner_kernel
def _below(z):
    """Log Phi(z), its derivative and its negative second derivative."""
    if z == math.inf:
        return 0.0, 0.0, 0.0
    if z > 0.0:
        density = math.exp(-0.5 * z * z - HALF_LOG_2PI)
        rest = density * mills_ratio(z)
        slope = density / (1.0 - rest)
        return math.log(1.0 - rest), slope, slope * (slope + z)
    ratio = mills_ratio(-z)
    slope = 1.0 / ratio
    log_p = -0.5 * z * z - HALF_LOG_2PI + math.log(ratio)
    if z < -50.0:  # slope + z has lost its digits
        q = 1.0 / (z * z)
        return log_p, slope, 1.0 - q * (1.0 - q * (6.0 - q * (50.0 - q * 518.0)))
    return log_p, slope, slope * (slope + z)


@inner_kernel
def _interval(a, b, middle, half):
    """Log of Phi(b) - Phi(a), a + b <= 0; derivatives to eta, a and b; working weight."""
    if b <= 0.0:
        ratio, less = mills_ratio(-b), math.exp(2.0 * half * middle)
        share = 1.0 - less * mills_ratio(-a) / ratio
        d_b = 1.0 / (ratio * share)
        d_a = less * d_b
        log_p = -0.5 * b * b - HALF_LOG_2PI + math.log(ratio * share)
        slope = d_b * math.expm1(2.0 * half * middle)
        if b < -TAIL:
            u = min(-2.0 * half * b, 700.0)
            part = u / math.expm1(u)
            return log_p, slope, -d_a, d_b, 1.0 - (1.0 - part * part * math.exp(u)) / (b * b)
    else:
        d_a, d_b = math.exp(-0.5 * a * a - HALF_LOG_2PI), math.exp(-0.5 * b * b - HALF_LOG_2PI)
        rest = d_a * mills_ratio(-a) + d_b * mills_ratio(b)
        scale = 1.0 / (1.0 - rest)
        log_p, d_a, d_b = math.log(1.0 - rest), d_a * scale, d_b * scale
        slope = d_a - d_b
    return log_p, slope, -d_a, d_b, slope * slope + b * d_b - a * d_a


@inner_kernel
def _narrow(c, h):
    """Log of Phi(c + h) - Phi(c - h), and the same as above, by the series in h."""
    s, q = c * c, h * h
    c2, c4, c6, c8 = q / 6.0, q * q / 120.0, q * q * q / 5040.0, q * q * q * q / 362880.0
    sum0 = (
        c2 * (s - 1.0)
        + c4 * ((s - 6.0) * s + 3.0)
        + c6 * (((s - 15.0) * s + 45.0) * s - 15.0)
        + c8 * ((((s - 28.0) * s + 210.0) * s - 420.0) * s + 105.0)
    )
    sum1 = c * (
        2.0 * c2
        + 4.0 * c4 * (s - 3.0)
        + 6.0 * c6 * ((s - 10.0) * s + 15.0)
        + 8.0 * c8 * (((s - 21.0) * s + 105.0) * s - 105.0)
    )
    sum2 = (
        2.0 * c2
        + 12.0 * c4 * (s - 1.0)
        + 30.0 * c6 * ((s - 6.0) * s + 3.0)
        + 56.0 * c8 * (((s - 15.0) * s + 45.0) * s - 15.0)
    )
    share = 1.0 / (1.0 + sum0)
    bend = sum1 * share
    log_p = math.log(2.0 * h * (1.0 + sum0)) - HALF_LOG_2PI - 0.5 * s
    at_ends = math.exp(-0.5 * q) * share / (2.0 * h)
    e = math.exp(c * h)
    return log_p, c - bend, -at_ends * e, at_ends / e, 1.0 - sum2 * share + bend * bend


# Ordered: logit ---------------------------------------------------------------------------------


@inner_kernel
def _logit(lower, upper, eta):
    """Log of F(b) (1 - F(a)) (1 - e^-w); derivatives to eta, lower and upper; working weight."""
    a, b, inside = lower - eta, upper - eta, -math.expm1(lower - upper)
    e_a, e_b = math.exp(-abs(a)), math.exp(-abs(b))
    near_a, near_b = 1.0 / (1.0 + e_a), 1.0 / (1.0 + e_b)
    far_a, far_b = e_a * near_a, e_b * near_b
    below = near_a if a > 0.0 else far_a  # F(a)
    above = far_b if b > 0.0 else near_b  # 1 - F(b)
    log_p = min(b, 0.0) - max(a, 0.0) + math.log(near_a * near_b * inside)
    opening = (1.0 - inside) / inside
    weight = near_a * far_a + near_b * far_b
    return log_p, below - above, -(below + opening), above + opening, weight


# Counts -----------------------------------------------------------------------------------------


@inner_kernel
def _poisson(y, eta):
    """Log density, its derivative, and the mean, which is the working weight."""
    mean = math.exp(eta)
    if y < FEW:
        return y * eta - mean - math.lgamma(y + 1.0), y - mean, mean
    gap = eta - math.log(y)
    excess = math.expm1(gap)
    log_p = -y * (excess - gap) - 0.5 * math.log(y) - HALF_LOG_2PI - _stirling(1.0 / y)
    return log_p, -y * excess, mean


@inner_kernel
def _negbinomial(y, eta, alpha):
    """Log density, derivatives with respect to eta and alpha, and working weight.

    With r = 1 / alpha and x = alpha m: log p = y eta + L - (y + r) log(1 + x) - log y!.
    """
    if alpha < NO_DISPERSION:
        log_p, slope, mean = _poisson(y, eta)
        return log_p, slope, 0.5 * (slope * slope - y), mean
    r, mean = 1.0 / alpha, math.exp(eta)
    x = alpha * mean
    if x > 1.0:
        inverse = r * math.exp(-eta)
        free = 1.0 / (1.0 + inverse)  # x / (1 + x)
        bound, scaled = inverse * free, r * free  # 1 / (1 + x), m / (1 + x)
        log_x = eta + math.log(alpha) + math.log1p(inverse)  # log(1 + x)
        bend = r * (r * log_x - scaled)
    else:
        bound = 1.0 / (1.0 + x)
        free, scaled, log_x = x * bound, mean * bound, math.log1p(x)
        bend = mean * mean * (bound - _log1p_gap(x))
    slope, weight = y * bound - scaled, (y * free + scaled) * bound
    rising, d_rising = _rising(min(y, FEW), alpha)
    d_alpha = d_rising - y * scaled + bend
    if y < FEW:
        log_p = y * (eta - log_x) + rising - r * log_x - math.lgamma(y + 1.0)
        return log_p, slope, d_alpha, weight
    delta = (y - mean) / (r + mean)
    ratio = math.log1p(delta) if delta > -0.5 else math.log1p(alpha * y) - log_x
    log_p = y * (eta - math.log(y)) + (y + r) * ratio - 0.5 * math.log(y) - HALF_LOG_2PI
    rest, d_rest = _rising_above(y, alpha)
    return log_p + rising + rest - _stirling(1.0 / y), slope, d_alpha + d_rest, weight


@inner_kernel
def _rising(n, alpha):
    """Return L = sum_{k < n} log(1 + alpha k) and its derivative, by a product."""
    share = 1.0 / (1.0 + alpha)
    step = alpha * share  # factors divided by 1 + alpha are at most k
    product, slope, k = 1.0, 0.0, 1.0
    while k < n:
        factor = share + step * k
        product *= factor
        slope += k * share / factor
        k += 1.0
    return max(n - 1.0, 0.0) * math.log1p(alpha) + math.log(product), slope


@inner_kernel
def _rising_above(y, alpha):
    """Rest of L for y >= 16 without the terms that _negbinomial writes as a ratio; derivative of L.

    The rest is lgamma(y + r) - lgamma(16 + r) + (y - 16) log alpha by Stirling's series.
    """
    more = y - FEW
    q1, q2 = 1.0 / (1.0 + FEW * alpha), 1.0 / (1.0 + y * alpha)
    s1, s2, v = alpha * q1, alpha * q2, more * alpha * q1  # 1 / (16 + r), 1 / (y + r)
    rest = FEW - (FEW + 1.0 / alpha) * math.log1p(FEW * alpha) - 0.5 * math.log1p(v)
    part = more * q1
    slope = part * (FEW + part * _log1p_gap(v) - 0.5 * q2)
    slope += q2 * q2 * _stirling_slope(s2) - q1 * q1 * _stirling_slope(s1)
    return rest + _stirling(s2) - _stirling(s1), slope


@inner_kernel
def _stirling(s):
    """Return lgamma(z) - ((z - 1/2) log z - z + log(2 pi) / 2) for z = 1 / s >= 16, to 1e-16."""
    q = s * s
    return s * (1 / 12 - q * (1 / 360 - q * (1 / 1260 - q * (1 / 1680 - q / 1188))))


@inner_kernel
def _stirling_slope(s):
    """Return the derivative of the above with respect to s."""
    q = s * s
    return 1 / 12 - q * (1 / 120 - q * (1 / 252 - q * (1 / 240 - q / 132)))


@inner_kernel
def _log1p_gap(x):
    """Return (x - log(1 + x)) / x^2 for x >= 0."""
    if x > 0.02:
        return (x - math.log1p(x)) / (x * x)
    return 1 / 2 - x * (
        1 / 3 - x * (1 / 4 - x * (1 / 5 - x * (1 / 6 - x * (1 / 7 - x * (1 / 8 - x / 9)))))
    )
