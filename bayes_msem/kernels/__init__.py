"""Compiled functions: linear algebra, templates, the likelihood and its reverse, densities."""
