"""Compiled functions: linear algebra, templates, the likelihood and its reverse, densities."""

from bayes_msem.kernels.guard import check_compilers

check_compilers("numba")  # before anything else asks numba for what it may not have
