"""The files that repeat a name, a bound or a version agree with pyproject.toml."""

import ast
import re
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

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
    extras = project["optional-dependencies"]
    texts = [*project["dependencies"], *extras["tables"], *extras["test"]]
    stated = bounds_of(text for text in texts if Requirement(text).name != project["name"])
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


def test_the_conda_recipe_states_what_pyproject_does(project):
    path = ROOT / "tools" / "conda" / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    run = {r.name: r.specifier for r in map(Requirement, recipe["requirements"]["run"])}
    assert run.pop("python") == SpecifierSet(project["requires-python"])
    assert run == bounds_of(project["dependencies"])
    assert recipe["package"]["name"] == project["name"]
    assert recipe["context"]["version"] == project["version"]
    assert recipe["about"]["license"] == project["license"]
    assert recipe["about"]["summary"] == project["description"]
    entries = [f"{name} = {target}" for name, target in project["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == entries


def test_citation_has_the_project_version(project):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]


def test_newest_changelog_entry_is_the_project_version(project):
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d[^\]]*)\]", changelog, flags=re.MULTILINE)
    assert released[0] == project["version"]


def test_installed_version_is_the_project_version(project):
    assert version("bayes_msem") == project["version"]


def imported_modules(folder):
    """Top names of all modules that the files of a folder import."""
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found


def test_every_dependency_is_imported(project):
    """A package that no module imports is not one that the user needs."""
    modules = {}
    for module, names in packages_distributions().items():
        for name in names:
            modules.setdefault(canonicalize_name(name), set()).add(module)
    imported = imported_modules(ROOT / "bayes_msem")
    unused = [
        name
        for name in (canonicalize_name(Requirement(t).name) for t in project["dependencies"])
        if not modules[name] & imported
    ]
    assert unused == ["h5netcdf"]  # xarray's engine, asked for by its name
    files = (ROOT / "bayes_msem" / "posterior" / "file_formats.py").read_text(encoding="utf-8")
    assert 'engine="h5netcdf"' in files
