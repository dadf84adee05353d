"""Loops over small matrices run with one BLAS thread, and leave the setting as it was."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from bayes_msem.inference.threads import one_blas_thread


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_one_thread_inside_and_the_old_number_outside() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        assert one_blas_thread(blas_threads)() == [1] * len(before)
        assert blas_threads() == before


def test_the_old_number_after_an_error() -> None:
    @one_blas_thread
    def failing() -> None:
        raise ValueError("no")

    before = blas_threads()
    with pytest.raises(ValueError, match="no"):
        failing()
    assert blas_threads() == before
    assert failing.__name__ == "failing"
