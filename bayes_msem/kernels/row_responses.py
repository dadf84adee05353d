"""Log densities of the responses of a block of rows, and their gradients.

A response at a time: its linear predictors in lanes, then its cells, then the gradients of scores
and loadings in lanes. Cells of probits are evaluated in lanes too, those of others one by one.
"""

from __future__ import annotations

import math

from bayes_msem.kernels.compile import inner_part
from bayes_msem.kernels.lanes import LANES, across, grouped, zero_unless
from bayes_msem.kernels.probit_cells import (
    COMMON,
    D_LOWER,
    D_UPPER,
    LOWER,
    SLOPE,
    UPPER,
    P,
    Y,
    evaluate_cells,
    place_cells,
)
from bayes_msem.kernels.responses import LOG_SD, PROBIT, SCALED, response, scaled
from bayes_msem.kernels.row_block import groups, sum_of_products
from bayes_msem.kernels.row_working import category, first_log_sd

__all__ = ["responses"]

_SMALL = 1e-100  # a product of probabilities below this is turned into its logarithm


@inner_part
def _place_probits(first, stop, k, structure, data, shared, block):
    """Lay out the cells of one probit of rows; return whether all are of the common kind.

    What is missing, or no row, lies between infinities.
    """
    items, edges, cells = structure.items, block.edges, block.cells
    start, n = items.first[k], items.first[k + 1] - items.first[k]
    edges[0], edges[n + 1] = -math.inf, math.inf
    for c in range(n):
        edges[c + 1] = shared.threshold[start + c]
    lower, upper, category_of = cells.floats[LOWER], cells.floats[UPPER], cells.floats[Y]
    for r in range(groups(stop - first) * LANES):
        y = data.y[k, first + r] if r < stop - first else math.nan
        category_of[r], lower[r], upper[r] = y, -math.inf, math.inf
        if not math.isnan(y):
            lower[r], upper[r] = edges[int(y)], edges[int(y) + 1]
    return place_cells(cells, grouped(block.eta), groups(stop - first))


@inner_part
def _probits(first, stop, k, structure, data, shared, block, d):
    """Log density of one probit of rows; as ``_cells``, many at a time.

    Without the logarithm of the product of probabilities, which goes on from response to response.
    """
    cells, n_g, value = block.cells, groups(stop - first), 0.0
    common = _place_probits(first, stop, k, structure, data, shared, block)
    evaluate_cells(cells, n_g * LANES)
    found = cells.floats
    if not common:
        for r in range(stop - first):
            y = data.y[k, first + r]
            if found[COMMON, r] == 0.0 and not math.isnan(y):
                lower, upper = category(k, y, structure.items, shared.threshold)
                logp, found[SLOPE, r], found[D_LOWER, r], found[D_UPPER, r], _ = response(
                    PROBIT, y, block.eta[r], lower, upper, 0.0
                )
                value += logp
    lanes, d_base, product = cells.lanes, grouped(block.d_base), grouped(block.product)
    for g in range(n_g):
        product[0] *= lanes[P, g]
        if not product[0] > _SMALL:
            value += across(math.log(product[0]))
            product[0] = 1.0
        d_base[k, g] = lanes[SLOPE, g]
    for c in range(structure.items.first[k + 1] - structure.items.first[k]):
        total = 0.0
        for g in range(n_g):
            y = lanes[Y, g]
            below = zero_unless(c + 0.5, y, zero_unless(y, c - 0.5, lanes[D_UPPER, g]))
            above = zero_unless(c + 1.5, y, zero_unless(y, c + 0.5, lanes[D_LOWER, g]))
            total += below + above
        d.threshold[structure.items.first[k] + c] += across(total)
    return value


@inner_part
def _cells(first, stop, k, structure, data, shared, block, d):
    """Log density of one response of rows, cell by cell; fill the gradient of beta."""
    items, d_base, value, d_dispersion = structure.items, block.d_base, 0.0, 0.0
    code, dispersion, scale = items.code[k], shared.dispersion[k], shared.mix[k, k]
    start = items.first[k]
    for r in range(groups(stop - first) * LANES):
        d_base[k, r] = 0.0
    for r in range(stop - first):
        cell, eta = data.y[k, first + r], block.eta[r]
        if math.isnan(cell):
            continue
        lower, upper = category(k, cell, items, shared.threshold)
        if scale != 1.0:
            eta, lower, upper = eta / scale, lower / scale, upper / scale
        logp, slope, d_lower, d_upper, d_own = response(code, cell, eta, lower, upper, dispersion)
        value += logp
        if scale != 1.0:
            slope, d_lower, d_upper = slope / scale, d_lower / scale, d_upper / scale
            d.mix[k, k] -= slope * eta
            if lower > -math.inf:
                d.mix[k, k] -= d_lower * lower
            if upper < math.inf:
                d.mix[k, k] -= d_upper * upper
        if lower > -math.inf:
            d.threshold[start + int(cell) - 1] += d_lower
        if upper < math.inf:
            d.threshold[start + int(cell)] += d_upper
        d_dispersion += d_own
        d_base[k, r] = slope
    d.dispersion[k] += d_dispersion
    return value


@inner_part
def _scaled_cells(first, stop, k, log_sd, data, block):
    """Log density of a scaled response; its log SDs are in the gradient's place, and lost."""
    d_base, value = block.d_base, 0.0
    for r in range(stop - first):
        cell, delta = data.y[k, first + r], d_base[log_sd, r]
        d_base[k, r] = d_base[log_sd, r] = 0.0
        if not math.isnan(cell):
            logp, d_base[k, r], d_base[log_sd, r] = scaled(cell, block.eta[r], delta)
            value += logp
    for r in range(stop - first, groups(stop - first) * LANES):
        d_base[k, r] = d_base[log_sd, r] = 0.0
    return value


@inner_part
def _sum_up(k, n_g, shared, block, eta):
    """Fill the linear predictors of one response."""
    base, s, loading = grouped(block.base), grouped(block.s), shared.loading
    for g in range(n_g):
        eta[g] = base[k, g]
    for i in range(block.count[k]):
        f = block.where[k, i]
        for g in range(n_g):
            eta[g] += loading[k, f] * s[f, g]


@inner_part
def _sum_up_back(k, n_g, shared, block, d):
    """Pull the gradient of beta of one response back to scores and loadings."""
    s, d_s, d_base = grouped(block.s), grouped(block.d_s), grouped(block.d_base)
    loading = shared.loading
    for i in range(block.count[k]):
        f = block.where[k, i]
        for g in range(n_g):
            d_s[f, g] += loading[k, f] * d_base[k, g]
        d.loading[k, f] += sum_of_products(d_base[k], s[f], n_g)


@inner_part
def responses(first, stop, structure, data, shared, block, d):
    """Log density of the responses of rows; fill the gradients of s and beta."""
    items, n_g, value = structure.items, groups(stop - first), 0.0
    d_s, eta, d_base = grouped(block.d_s), grouped(block.eta), grouped(block.d_base)
    log_sd = first_log_sd(items.code)
    for f in range(len(d_s)):
        for g in range(n_g):
            d_s[f, g] = 0.0
    block.product[:] = 1.0
    for k in range(len(items.code)):
        if items.code[k] == LOG_SD:
            continue
        _sum_up(k, n_g, shared, block, eta)
        if items.code[k] == SCALED:
            _sum_up(log_sd, n_g, shared, block, d_base[log_sd])
            value += _scaled_cells(first, stop, k, log_sd, data, block)
            _sum_up_back(log_sd, n_g, shared, block, d)
            log_sd += 1
        elif items.code[k] == PROBIT and shared.mix[k, k] == 1.0:
            value += _probits(first, stop, k, structure, data, shared, block, d)
        else:
            value += _cells(first, stop, k, structure, data, shared, block, d)
        _sum_up_back(k, n_g, shared, block, d)
    product = 1.0
    for lane in range(LANES):  # each is above _SMALL
        product *= block.product[lane]
        if product < _SMALL:
            value += math.log(product)
            product = 1.0
    return value + math.log(product)
