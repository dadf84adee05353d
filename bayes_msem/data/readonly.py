"""Arrays that stay read-only, in copies and in other processes too.

A kernel is compiled for one kind of array: a writable array is another kind than a read-only one,
and costs a second compilation of everything that the kernel calls (half a minute of CPU). NumPy
forgets the flag when it pickles or copies, so records of such arrays set it again.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ReadOnlyArrays", "frozen"]


def frozen[T: np.generic](array: NDArray[T]) -> NDArray[T]:
    """Make an array read-only and return it."""
    array.setflags(write=False)
    return array


class ReadOnlyArrays:
    """Base of frozen dataclasses whose arrays are read-only, however they come about.

    Copies and unpickled records go through the constructor, with every array read-only again.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make this record again."""
        given = [field for field in fields(self) if field.init]  # type: ignore[arg-type]
        values = tuple(getattr(self, field.name) for field in given)
        return _again, (type(self), values)


def _again(record: type, values: tuple[Any, ...]) -> Any:
    # a plain array too where a process pool hands over a view of a file (numpy.memmap)
    return record(*(frozen(np.asarray(v)) if isinstance(v, np.ndarray) else v for v in values))
