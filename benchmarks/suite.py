"""All benchmarks that have targets, one after the other: a table and a figure of their figures.

    python benchmarks/suite.py            all scripts bench_*.py (make bench)
    python benchmarks/suite.py start wide some of them
    python benchmarks/suite.py --write    also into docs/benchmarks.md and its figure

Each script runs in a process of its own and prints its own tables; lines of ``measure.result`` are
gathered. Ratios to the target let one see at a glance what is near its limit: below 1 is better
than the target, whatever the unit. A calibration loop before each script tells how fast the machine
was just then.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from marked_tables import markdown, with_marked
from measure import RESULT, calibration, machine

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
FIGURE = HERE.parent / "docs" / "images" / "benchmarks.png"
RESULTS = HERE / "suite_results.csv"
ARGUMENTS = {"random_loadings": ("seeds", "gradient"), "outcomes": ("cfa",)}
"""What scripts are asked for here, if not everything: no hour of other people's samplers."""
_LEAST = 1e-3  # smallest ratio that is drawn, and its inverse the largest: zero has no logarithm


class Result(NamedTuple):
    """A figure with its target.

    Attributes
    ----------
    script, name, unit
        Where it comes from, and what it is.
    value, target
        The figure and its limit.
    at_least
        Whether the limit is a lower one.
    calibration, day
        CPU seconds of the calibration loop just before the script, and when it ran.
    """

    script: str
    name: str
    unit: str
    value: float
    target: float
    at_least: bool
    calibration: float
    day: str

    @property
    def ratio(self) -> float:
        """Figure over target, or target over figure: below 1 is better than the target."""
        if not self.at_least:
            return self.value / self.target
        return self.target / self.value if self.value else float("inf")


def scripts() -> list[str]:
    """Return the names of all scripts, without ``bench_``."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def run(script: str) -> str:
    """Run one script; print what it prints, and return it."""
    command = [sys.executable, str(HERE / f"bench_{script}.py"), *ARGUMENTS.get(script, ())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    printed = []
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        printed.append(line)
    if process.wait():
        raise SystemExit(f"bench_{script}.py failed")
    return "".join(printed)


def read_results(script: str, printed: str, speed: float) -> list[Result]:
    """Find the lines of ``measure.result`` in what a script has printed."""
    found = []
    for line in printed.splitlines():
        if not line.startswith(RESULT):
            continue
        name, value, unit, limit = (part.strip() for part in line[len(RESULT) :].split(" | "))
        target = float(limit.split()[-1])
        at_least = limit.startswith("at least")
        today = f"{date.today():%Y-%m-%d}"
        found.append(Result(script, name, unit, float(value), target, at_least, speed, today))
    return found


def table(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    rows = [
        [
            r.name,
            f"{r.value:g} {r.unit}".strip(),
            f"{'at least' if r.at_least else 'at most'} {r.target:g}",
            f"{r.ratio:.2f}",
            f"{r.calibration:.1f}",
            r.day,
        ]
        for r in results
    ]
    return markdown(["measured", "figure", "target", "ratio", "calibration, CPU s", "day"], rows)


def draw(results: Sequence[Result], path: Path) -> None:
    """Draw ratios to targets as bars on a logarithmic axis."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 0.32 * len(results) + 1.2), layout="constrained")
    places = range(len(results))
    ratios = [min(max(r.ratio, _LEAST), 1 / _LEAST) for r in results]
    colours = ["#2b6ca3" if ratio <= 1 else "#c0504d" for ratio in ratios]
    # bars begin at the target: to the left is better
    axes.barh(places, [ratio - 1 for ratio in ratios], left=1.0, color=colours, height=0.7)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(min(min(ratios), 0.5) / 1.3, max(2.0, 1.3 * max(ratios)))
    axes.set_yticks(places, [r.name for r in results], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("figure relative to its target (left of 1: better)")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def earlier(path: Path) -> list[Result]:
    """Read results of earlier runs."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Result(
                row["script"],
                row["name"],
                row["unit"],
                float(row["value"]),
                float(row["target"]),
                row["at_least"] == "True",
                float(row["calibration"]),
                row["day"],
            )
            for row in csv.DictReader(file)
        ]


def write(results: Sequence[Result], about: str) -> None:
    """Write the results to a file, and the table and the figure into the documentation.

    Results of scripts that have not run now stay.
    """
    new = {r.script for r in results}
    kept = [r for r in earlier(RESULTS) if r.script not in new]
    results = sorted([*kept, *results], key=lambda r: r.script)
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*Result._fields, "ratio"])
        writer.writerows([*r, f"{r.ratio:.4g}"] for r in results)
    texts = {"machine": f"{about}.", "results": table(results)}
    PAGE.write_text(with_marked(PAGE.read_text(encoding="utf-8"), texts), encoding="utf-8")
    draw(results, FIGURE)


def main() -> None:
    """Run the chosen scripts and print, or write, their figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("script", nargs="*", help=f"of {', '.join(scripts())}; none: all")
    parser.add_argument("--write", action="store_true", help="into the documentation, too")
    arguments = parser.parse_args()
    chosen = arguments.script or scripts()
    if unknown := set(chosen) - set(scripts()):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    results: list[Result] = []
    for script in chosen:
        speed = calibration()
        print(f"== bench_{script}.py (calibration loop: {speed:.2f} CPU s)", flush=True)
        results += read_results(script, run(script), speed)
    print(f"\n{table(results)}")
    if arguments.write:
        write(results, machine())


if __name__ == "__main__":
    main()
