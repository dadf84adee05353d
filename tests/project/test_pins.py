"""The files that repeat a name, a bound or a version agree with pyproject.toml."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"matplotlib": "matplotlib-base"}
CONDA_ONLY = {"pip", "python"}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def conda_bounds():
    """Map each conda package in environment.yml to its bounds."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    lines = [line for line in environment["dependencies"] if isinstance(line, str)]
    requirements = [Requirement(line) for line in lines]
    assert len(requirements) == len({r.name for r in requirements}), "a package is listed twice"
    return {r.name: r.specifier for r in requirements}


def bounds_of(requirements):
    """Map each conda name to the bounds that pyproject.toml states."""
    parsed = [Requirement(text) for text in requirements]
    return {CONDA_NAMES.get(r.name, r.name): r.specifier for r in parsed}


def test_environment_and_pyproject_state_the_same_bounds(project, conda_bounds):
    stated = bounds_of(project["dependencies"] + project["optional-dependencies"]["test"])
    assert {k: v for k, v in conda_bounds.items() if k not in CONDA_ONLY} == stated


def test_every_dependency_has_a_lower_bound(project):
    extras = project["optional-dependencies"].values()
    texts = [*project["dependencies"], *(text for extra in extras for text in extra)]
    unbounded = [
        text
        for text in texts
        if Requirement(text).name != project["name"]
        and not any(s.operator == ">=" for s in Requirement(text).specifier)
    ]
    assert unbounded == []


def test_python_bounds_agree(project, conda_bounds):
    assert conda_bounds["python"] == SpecifierSet(project["requires-python"])


def test_python_version_file_is_an_allowed_python(project):
    pinned = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert SpecifierSet(project["requires-python"]).contains(pinned)


def test_citation_has_the_project_version(project):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]


def test_newest_changelog_entry_is_the_project_version(project):
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d[^\]]*)\]", changelog, flags=re.MULTILINE)
    assert released[0] == project["version"]


def test_installed_version_is_the_project_version(project):
    assert version("bayes_msem") == project["version"]


def test_no_tool_skips_the_room_named_build():
    """Ruff, pytest and .gitignore must not take bayes_msem/build for build output."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert "build" not in tools["ruff"]["exclude"]
    assert "build" not in tools["pytest"]["ini_options"]["norecursedirs"]
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert {"build", "build/"}.isdisjoint(ignored)
