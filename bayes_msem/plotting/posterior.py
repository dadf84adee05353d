"""Forest and trace plots of the posterior."""

from __future__ import annotations

from typing import Any


def forest(table: Any, draws: Any, *, level: str | None = None, **options: Any) -> Any:
    raise NotImplementedError


def trace(table: Any, draws: Any, *, level: str | None = None, **options: Any) -> Any:
    raise NotImplementedError
