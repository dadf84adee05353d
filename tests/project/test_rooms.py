"""What the rooms promise each other: facades and figures compute nothing, names stand once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "bayes_msem"
COMPUTE = {"numpy", "scipy", "arviz_stats", "numba", "pytensor"}
NUMBERS = {"quantile", "nanquantile", "percentile", "median", "std", "var", "nanmean", "histogram",
           "kde", "gaussian_kde", "interval", "bincount", "trapezoid", "rankdata"}  # fmt: skip


def modules(*rooms: str) -> list[Path]:
    return sorted(file for room in rooms for file in (PACKAGE / room).glob("*.py"))


def at_run_time(tree: ast.Module) -> list[ast.AST]:
    """All nodes but those for type checkers."""
    for_types = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    skipped = {id(inner) for node in for_types for inner in ast.walk(node)}
    return [node for node in ast.walk(tree) if id(node) not in skipped]


def imports_of(tree: ast.Module) -> set[str]:
    """Modules that are imported when the program runs, by their first name."""
    found = set()
    for node in at_run_time(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("file", modules("fit", "model"), ids=lambda f: f"{f.parent.name}/{f.name}")
def test_facades_compute_nothing(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert imports_of(tree) & COMPUTE == set(), f"{file.name}: numbers belong in another room"


@pytest.mark.parametrize("file", modules("plotting"), ids=lambda f: f.name)
def test_figures_compute_nothing(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert imports_of(tree) & (COMPUTE - {"numpy"}) == set()
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert called & NUMBERS == set(), f"{file.name}: numbers belong in posterior/ or checking/"


ORDER = (
    "errors foreign_words arguments wording markup disk kernels gaussian outcomes spec data "
    "structure likelihood blueprint simulation inference posterior checking display plotting "
    "datasets model fit loading invariance studies importing command_line __main__"
).split()


def test_data_flow_one_way() -> None:
    """A module imports only from its own room and from those before it.

    But for ``Model.fit``, which returns a Fit: the two facades know each other.
    """
    rank, against = {room: i for i, room in enumerate(ORDER)}, []
    for file in PACKAGE.rglob("*.py"):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for node in at_run_time(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bayes_msem."):
                other = (node.module or "").split(".")[1]
                if rank[other] > rank[room] and (room, other) != ("model", "fit"):
                    against.append((str(file.relative_to(PACKAGE)), node.module))
    assert against == []


# Names that stand in two rooms. The list only gets shorter: whoever renames one takes it off.
TWICE = {
    "coordinates": ["inference", "kernels"],
    "density": ["inference", "kernels"],
    "pieces": ["data", "kernels"],
    "statistics": ["kernels", "likelihood"],
    "values": ["blueprint", "kernels"],
}


def test_a_module_name_stands_once() -> None:
    """A module is found by its name alone; ``__init__`` is the room itself."""
    rooms: dict[str, list[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.stem != "__init__":
            rooms.setdefault(file.stem, []).append(file.relative_to(PACKAGE).parent.as_posix())
    assert {name: found for name, found in rooms.items() if len(found) > 1} == TWICE
