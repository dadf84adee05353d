"""The caches of compiled kernels follow the sources of all kernels."""

import re
import sys

import numba
import pytensor.tensor as pt
from numba.core.caching import CacheImpl, FunctionCache
from numba.core.registry import CPUDispatcher
from pytensor.link.numba.dispatch.basic import numba_funcify_default_op_cache_key

from bayes_msem.kernels import cache as module
from bayes_msem.kernels.compile import KERNEL_VERSION, kernel
from bayes_msem.kernels.template import forward
from bayes_msem.likelihood.ops import LogLikelihood
from tests.kernels.providers import evaluate_all


def test_stamp_changes_with_any_source(tmp_path):
    paths = [tmp_path / name for name in ("one.py", "two.py")]
    for path in paths:
        path.write_text("x = 1\n")
    before = module._stamp(paths)
    assert module._stamp(paths) == before
    paths[1].write_text("x = 2\n")
    assert module._stamp(paths) != before


def test_kernels_stand_in_one_room():
    """Kernels call each other: the stamp of their caches covers this room, and nothing else."""
    package = module._ROOM.parent
    marks = ("@kernel", "@inner_kernel", "@view_kernel", "@part_kernel", "@inner_part")
    with_kernels = {p for p in package.rglob("*.py") if any(m in p.read_text() for m in marks)}
    assert {p.parent for p in with_kernels} == {module._ROOM}


def test_kernels_depend_on_no_other_room():
    """Sentences, plans or checks elsewhere can change without any compilation."""
    for path in module._ROOM.glob("*.py"):
        rooms = re.findall(r"^from bayes_msem\.(\w+)", path.read_text(), re.MULTILINE)
        assert set(rooms) <= {"kernels", "errors"}, path


def test_every_kernel_has_one_signature():
    """Read-only or writable, literal or not: a second signature is a second compilation.

    Those of floats and of lanes are two by design. The caches on disk know all compilations of
    the current sources, also those of kernels that only other kernels call.
    """
    evaluate_all()
    several, seen = {}, 0
    for name, kernels in list(sys.modules.items()):
        if name.startswith("bayes_msem.kernels."):
            for key, value in vars(kernels).items():
                if isinstance(value, CPUDispatcher) and value.py_func.__module__ == name:
                    found = [str(index[0]) for index in value._cache._cache_file._load_index()]
                    kinds = ["lanes8" in text for text in found]
                    seen += bool(found)
                    if kinds.count(True) > 1 or kinds.count(False) > 1:
                        several[name, key] = found
    assert seen > 60
    assert several == {}


def test_numba_cache_of_kernels_uses_the_joint_stamp():
    locator = forward._cache._impl._locator
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
    for provider, part in (("size", "data"), ("sampled", "data"), ("sampled", "effects")):
        node = LogLikelihood(provider, part).make_node(x, matrix, ints, floats, floats, floats)
        assert numba_funcify_default_op_cache_key(node.op, node=node)[1] == KERNEL_VERSION


def test_kernels_divide_like_numpy():
    @kernel
    def ratio(a, b):
        return a / b

    assert ratio(1.0, 0.0) == float("inf")
