"""Refits by executors: the same terms, whoever computes them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import bayes_msem as bm
from bayes_msem.checking.accuracy.loo import LooResult
from tests.checking.laplace import laplace_fit
from tests.checking.test_loo import SLOPES, slopes_data

MANY = 0.3  # of Pareto k: some refits, not all


def again(model: bm.Model) -> bm.Fit:
    """Fit anew; a function of a module, as other processes need it."""
    return laplace_fit(model, draws=100, seed=7)


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    return laplace_fit(bm.Model(SLOPES, slopes_data(n_clusters=30), cluster="g"))


@pytest.fixture(scope="module")
def alone(fit: bm.Fit) -> LooResult:
    result = fit.loo(refit=again, threshold=MANY)
    assert 2 <= len(result.replaced) <= 12
    return result


def same(found: LooResult, expected: LooResult) -> None:
    """Draws of another process differ in last digits, which depend on where arrays lie."""
    np.testing.assert_allclose(found.pointwise, expected.pointwise, rtol=1e-6)
    assert found.replaced == expected.replaced


def test_threads_give_the_same_terms(fit: bm.Fit, alone: LooResult) -> None:
    with ThreadPoolExecutor(2) as executor:
        same(fit.loo(refit=again, threshold=MANY, executor=executor), alone)


def test_what_is_no_executor_is_refused(fit: bm.Fit) -> None:
    with pytest.raises(bm.SpecificationError, match="executor=2 cannot run anything"):
        fit.loo(refit="exact", executor=2)  # type: ignore[arg-type]
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(bm.SpecificationError, match="executor= runs refits, and there are none"),
    ):
        fit.loo(executor=executor)


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.mark.slow
def test_processes_give_the_same_terms(fit: bm.Fit, alone: LooResult, pool: Executor) -> None:
    same(fit.loo(refit=again, threshold=MANY, executor=pool), alone)


@pytest.mark.slow
def test_what_cannot_be_sent_is_named(fit: bm.Fit, pool: Executor) -> None:
    with pytest.raises(bm.SpecificationError, match=r"cannot be sent .* a function of a module"):
        fit.loo(refit=lambda model: again(model), threshold=MANY, executor=pool)


@pytest.mark.slow
def test_dask_gives_the_same_terms(fit: bm.Fit, alone: LooResult) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask's distributed is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor()
        same(fit.loo(refit=again, threshold=MANY, executor=executor), alone)
