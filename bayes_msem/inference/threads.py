"""One BLAS thread for loops over small matrices.

BLAS libraries split even products of a few hundred numbers over all cores. Where thousands of them
follow each other, waking and waiting for threads costs many times the work itself, and all the more
on a machine that is busy with something else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps

from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks for the libraries once


def one_blas_thread[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Run a function with one BLAS thread; afterwards the setting is what it was."""

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with _controller().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited
