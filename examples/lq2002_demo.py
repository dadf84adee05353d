"""Leadership and hostility in 49 companies: a two-level SEM on few clusters.

2,042 soldiers in 49 companies rated their leaders and their own hostility (Bliese et al., 2002).
With so few companies maximum likelihood ends at a negative between-level variance. The Bayesian
fit of the same model does not, and its intervals say how little is known about these variances.

Run it with ``make demo`` or ``python examples/lq2002_demo.py``. It prints the model and the
tables, and writes ``summary.csv``, ``forest.png``, ``trace.png`` and ``variances.png``.
"""

from __future__ import annotations

import argparse
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

import bayes_msem as bm
from bayes_msem.inference.mode import Mode

MODEL = """
    level: within
        lead_w =~ LEAD01 + LEAD03 + LEAD05 + LEAD09 + LEAD11
        hostile_w =~ HOSTIL01 + HOSTIL02 + HOSTIL03 + HOSTIL04 + HOSTIL05
        hostile_w ~ bw*lead_w
    level: between
        lead_b =~ LEAD01 + LEAD03 + LEAD05 + LEAD09 + LEAD11
        hostile_b =~ HOSTIL01 + HOSTIL02 + HOSTIL03 + HOSTIL04 + HOSTIL05
        hostile_b ~ bb*lead_b
    contextual := bb - bw
"""
ITEMS = ["LEAD01", "LEAD03", "LEAD05", "LEAD09", "LEAD11"]
ITEMS += ["HOSTIL01", "HOSTIL02", "HOSTIL03", "HOSTIL04", "HOSTIL05"]
RESIDUAL_VARIANCES = [("between", item, "~~", item) for item in ITEMS]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the model, print its tables, write its figures."""
    options = read_arguments(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with plain_warnings():
        model = bm.Model(MODEL, data=bm.load_dataset("lq2002"), cluster="COMPID")
        heading("The model")
        print(model)

        heading("Compiling and sampling")
        fit = model.fit(
            draws=options.draws, tune=options.tune, chains=options.chains, random_seed=1
        )
        print(fit)

        heading("The posterior")
        summary = fit.summary()
        print(summary)

        heading("Between-level residual variances: maximum likelihood and posterior")
        maximum = model.mode(prior=False)
        print(beside(maximum, summary).to_string(index=False, float_format=four_decimals))

    summary.to_csv(options.out / "summary.csv", index=False)
    figures = {
        "forest.png": fit.plot_forest(),
        "trace.png": fit.plot_trace(),
        "variances.png": fit.plot_forest(
            "between",
            rows=RESIDUAL_VARIANCES,
            reference=maximum,
            reference_label="maximum likelihood",
        ),
    }
    for name, figure in figures.items():
        figure.savefig(options.out / name, dpi=120)
    print("\nwritten:", *(options.out / name for name in ["summary.csv", *figures]))


def beside(maximum: Mode, summary: pd.DataFrame) -> pd.DataFrame:
    """Maximum likelihood estimates of the residual variances beside their posterior."""
    posterior = summary.set_index(["level", "lhs", "op", "rhs"]).loc[RESIDUAL_VARIANCES]
    return pd.DataFrame(
        {
            "item": ITEMS,
            "ML": [maximum[key] for key in RESIDUAL_VARIANCES],
            "ML se": [maximum.standard_errors[key] for key in RESIDUAL_VARIANCES],
            "posterior mean": posterior["mean"].to_numpy(),
            "2.5%": posterior["lower"].to_numpy(),
            "97.5%": posterior["upper"].to_numpy(),
        }
    )


def four_decimals(value: float) -> str:
    """Format a number; what would be shown as zero is not, unless it is zero."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.00005 else f"{value:.0e}"


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings as messages in the text, without file names and line numbers."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print(textwrap.fill(f"Note: {message}", 98), end="\n\n", flush=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", bm.MsemWarning)
        warnings.showwarning = show
        yield


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}\n{'=' * len(text)}\n", flush=True)


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--draws", type=int, default=1000, help="draws kept per chain")
    parser.add_argument("--tune", type=int, default=1000, help="tuning steps per chain")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the output")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
