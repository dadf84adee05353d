"""Predictive accuracy: log-likelihoods, LOO, WAIC, DIC, comparison."""
