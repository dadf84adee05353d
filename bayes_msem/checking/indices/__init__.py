"""Bayesian fit indices."""
