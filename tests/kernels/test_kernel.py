"""The caches of compiled kernels follow the sources of all kernels."""

import numba
import pytensor.tensor as pt
from numba.core.caching import CacheImpl, FunctionCache
from pytensor.link.numba.dispatch.basic import numba_funcify_default_op_cache_key

from bayes_msem.kernels import cache as module
from bayes_msem.kernels.compile import KERNEL_VERSION, kernel
from bayes_msem.kernels.template import add_moments
from bayes_msem.likelihood.ops import ClusterLogLikelihood, MarginalLogLikelihood


def test_stamp_changes_with_any_source(tmp_path):
    paths = [tmp_path / name for name in ("one.py", "two.py")]
    for path in paths:
        path.write_text("x = 1\n")
    before = module._stamp(paths)
    assert module._stamp(paths) == before
    paths[1].write_text("x = 2\n")
    assert module._stamp(paths) != before
    assert module._stamp(paths[:1], "a") != module._stamp(paths[:1], "b")


def test_every_file_with_kernels_is_in_a_stamp():
    """Kernels call each other: one that no stamp covers would run with old parts of others."""
    package = module._PACKAGE
    covered = {p for room in module._ROOMS for p in (package / room).glob("*.py")}
    covered |= {package / "build" / name for name in module._DENSITY}
    marks = ("@kernel", "c_function(")
    with_kernels = {p for p in package.rglob("*.py") if any(m in p.read_text() for m in marks)}
    assert with_kernels - covered == {
        package / "build" / "nuts_model.py"
    }  # compiles what others hold


def test_numba_cache_of_kernels_uses_the_joint_stamp():
    locator = add_moments._cache._impl._locator
    assert locator.get_source_stamp() == module._STAMP


def test_functions_of_others_are_left_to_numba():
    ours = [k for k in CacheImpl._locator_classes if k.__module__.startswith("bayes_msem")]
    assert ours == []

    @numba.njit(cache=True)
    def other(x):
        return x

    assert type(other._cache) is FunctionCache


def test_pytensor_key_carries_the_stamp():
    x, ints, floats, matrix = pt.dvector(), pt.lvector(), pt.dvector(), pt.dmatrix()
    node = MarginalLogLikelihood().make_node(x, ints, floats, floats)
    assert numba_funcify_default_op_cache_key(node.op, node=node)[1] == KERNEL_VERSION
    cube = pt.dtensor3()
    for part in ("data", "effects"):
        node = ClusterLogLikelihood(part).make_node(x, matrix, ints, floats, floats, cube, matrix)
        assert numba_funcify_default_op_cache_key(node.op, node=node)[1] == KERNEL_VERSION


def test_kernels_divide_like_numpy():
    @kernel
    def ratio(a, b):
        return a / b

    assert ratio(1.0, 0.0) == float("inf")
