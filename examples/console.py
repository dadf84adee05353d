"""What the example scripts share: options, headings, warnings as text, tables of known values."""

from __future__ import annotations

import argparse
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

import bayes_msem as bm

Key = tuple[str, str, str, str]  # level, lhs, op, rhs

_KEY = ["level", "lhs", "op", "rhs"]


def read_arguments(
    arguments: Sequence[str] | None, description: str | None, *, draws: int = 1000
) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=draws, help="draws kept per chain")
    parser.add_argument("--tune", type=int, default=1000, help="tuning steps per chain")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the output")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}\n{'=' * len(text)}\n", flush=True)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings as messages in the text, without file names and line numbers."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        for line in str(message).splitlines():
            print(textwrap.fill(line if line.startswith("-") else f"Note: {line}", 98), flush=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", bm.MsemWarning)
        warnings.showwarning = show
        yield


def beside(summary: pd.DataFrame, name: str, values: Mapping[Key, float]) -> pd.DataFrame:
    """Set known values of some rows beside their posterior."""
    chosen = summary.set_index(_KEY).loc[list(values)]
    known = pd.Series(values)
    return pd.DataFrame(
        {
            "level": [key[0] for key in values],
            "row": [" ".join(key[1:]) for key in values],
            name: known.to_numpy(),
            "mean": chosen["mean"].to_numpy(),
            "2.5%": chosen["lower"].to_numpy(),
            "97.5%": chosen["upper"].to_numpy(),
            "inside": [
                "yes" if low <= value <= high else "no"
                for value, low, high in zip(known, chosen["lower"], chosen["upper"], strict=True)
            ],
        }
    )


def show(frame: pd.DataFrame, decimals: int = 3) -> None:
    """Print a table without its index."""
    print(frame.to_string(index=False, float_format=lambda v: f"{v:.{decimals}f}"))


def save(out: Path, prefix: str, figures: Mapping[str, Figure]) -> None:
    """Write figures as ``out/prefix_name.png``."""
    paths = [out / f"{prefix}_{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        figure.savefig(path, dpi=100)
    print("\nwritten:", *paths)
