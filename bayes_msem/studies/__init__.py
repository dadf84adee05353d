"""Simulation studies of a user's own design: simulate, fit, count."""
