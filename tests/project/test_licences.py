"""What may be passed on, and under which terms, is said the same everywhere."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import bayes_msem as bm
from bayes_msem.datasets import describe_dataset

ROOT = Path(__file__).parents[2]


def annotations() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((ROOT / "REUSE.toml").read_text())["annotations"]
    return found


def licence_of(path: str) -> str:
    """The SPDX identifier of a file: the last annotation that matches."""
    found = ""
    for entry in annotations():
        patterns = [entry["path"]] if isinstance(entry["path"], str) else entry["path"]
        if any(fnmatch(path, pattern) for pattern in patterns):
            found = entry["SPDX-License-Identifier"]
    return found


def test_every_annotated_file_is_there() -> None:
    paths = [e["path"] if isinstance(e["path"], list) else [e["path"]] for e in annotations()]
    assert [p for each in paths for p in each if p != "**" and not (ROOT / p).is_file()] == []


def test_data_sets_state_the_licence_of_their_file() -> None:
    for name in bm.list_datasets():
        licence = licence_of(f"bayes_msem/datasets/{name}.csv.gz")
        assert describe_dataset(name).licence.startswith(licence)
    assert licence_of("bayes_msem/datasets/lq2002.csv.gz") == "GPL-2.0-or-later"
    assert licence_of("bayes_msem/model/__init__.py") == "MIT"


def test_the_metadata_names_every_licence_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    files = [p.relative_to(ROOT).as_posix() for p in (ROOT / "bayes_msem").rglob("*.*")]
    found = {licence_of(path) for path in files}
    assert set(re.split(" AND ", project["license"])) == found
    assert {p.stem for p in (ROOT / "LICENSES").glob("*.txt")} == found
