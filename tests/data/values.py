"""Simple parameter values at which any small model has a finite log-likelihood."""

from __future__ import annotations


def simple_values(model):
    """Variances 1, loadings 1, regressions 0.1, everything else 0."""
    table = model.parameter_table
    values = {}
    for row in table[table["free"] != 0].itertuples():
        own = row.op == "~~" and row.lhs == row.rhs
        value = 1.0 if own or row.op == "=~" else 0.0
        if row.op == "~" and row.rhs != "1":
            value = 0.1
        values[row.level, row.lhs, row.op, row.rhs] = value
    return values


def log_likelihood(model):
    """Log-likelihood of the model at its simple values."""
    return model.log_likelihood(simple_values(model))
