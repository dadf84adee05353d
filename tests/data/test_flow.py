"""The modules of the data room read each other one way, and say so at their top."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import bayes_msem.data

ROOM = "bayes_msem.data"


def _modules(node: ast.AST) -> list[str]:
    """Modules of the package that an import statement names."""
    if isinstance(node, ast.ImportFrom) and node.module == ROOM:
        return [f"{ROOM}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def _trees() -> dict[str, ast.Module]:
    room = Path(bayes_msem.data.__file__).parent
    return {f"{ROOM}.{p.stem}": ast.parse(p.read_text("utf-8")) for p in room.glob("*.py")}


def test_no_module_reads_one_that_reads_it() -> None:
    trees = _trees()
    reads = {
        name: {m for node in ast.walk(tree) for m in _modules(node)} & trees.keys()
        for name, tree in trees.items()
    }
    order = list(TopologicalSorter(reads).static_order())  # raises CycleError
    way = ["columns", "cluster_column", "observed_data", "role_checks", "observe"]
    places = [order.index(f"{ROOM}.{name}") for name in way]
    assert reads[f"{ROOM}.role_checks"] >= {f"{ROOM}.observed_data", f"{ROOM}.cluster_column"}
    assert reads[f"{ROOM}.observe"] >= {f"{ROOM}.{name}" for name in way[:-1]}
    assert places[-1] == max(places)


def test_the_package_is_imported_at_the_top_of_modules_only() -> None:
    for name, tree in _trees().items():
        inside = [
            module
            for node in ast.walk(tree)
            if node not in tree.body
            for module in _modules(node)
            if module.startswith("bayes_msem")
        ]
        assert not inside, name
