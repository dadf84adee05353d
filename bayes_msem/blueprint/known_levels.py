"""What models and fits can do with three levels: everything else refuses, whoever adds it.

A method that was written for two levels would go on with clusters and rows, and give numbers of
another model. So the public names that know three levels are listed, and all others raise before
they do anything.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bayes_msem.errors import NotSupportedError

__all__ = ["KnownLevels"]


class KnownLevels:
    """Base of ``Model`` and ``Fit``: refuses public names that do not know three levels."""

    _KNOWN: ClassVar[frozenset[str]]
    _INSTEAD: ClassVar[dict[str, str]]

    def _is_three_level(self) -> bool:
        raise NotImplementedError

    def __getattribute__(self, name: str) -> Any:
        """Look up an attribute; refuse it where the model has three levels and it knows two."""
        if not name.startswith("_"):
            cls = object.__getattribute__(self, "__class__")
            if name not in cls._KNOWN and hasattr(cls, name) and self._is_three_level():
                what = f"{cls.__name__.lower()}.{name}"
                instead = cls._INSTEAD.get(name, "")
                raise NotSupportedError(
                    f"{what} is there for models of one and two levels only. {instead}"
                    f"With three levels there are {', '.join(sorted(cls._KNOWN & set(dir(cls))))}"
                )
        return object.__getattribute__(self, name)
