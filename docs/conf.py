"""Sphinx configuration: `python -m sphinx -W -b html docs docs/_build/html`."""

from importlib.metadata import version as _version

project = "bayes_msem"
author = "The bayes_msem developers"
copyright = "The bayes_msem developers"
release = version = _version("bayes_msem")

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"bayes_msem {release}"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # links such as syntax.md#roles work as they do on code-hosting sites

autodoc_typehints = "none"  # numpydoc sections name the types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # autodoc lists them
