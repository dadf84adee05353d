"""Sphinx configuration of the site: `make docs` builds it into docs/_build/html.

Nothing is read from the network unless DOCS_INTERSPHINX=1; then types of other packages become
links to their pages, as far as their inventories can be reached.
"""

import os
import re
from http.client import HTTPException
from importlib.metadata import version as _version
from itertools import takewhile
from urllib.request import urlopen

project = "bayes_msem"
author = "The bayes_msem developers"
copyright = "The bayes_msem developers"
release = version = _version("bayes_msem")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",  # after napoleon
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"bayes_msem {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3  # links such as syntax.md#roles work as they do on code-hosting sites

autosummary_generate = True  # one page per method, in docs/generated
autodoc_typehints = "none"  # sphinx_autodoc_typehints puts types to the arguments
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
always_use_bars_union = True
typehints_use_rtype = False
typehints_defaults = "comma"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False  # annotations say it
copybutton_exclude = ".linenos, .gp, .go"

# References to other packages --------------------------------------------------------------

_INVENTORIES = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
    "xarray": "https://docs.xarray.dev/en/stable/",
    "matplotlib": "https://matplotlib.org/stable/",
    "pymc": "https://www.pymc.io/projects/docs/en/stable/",
}


def _reachable(url: str) -> bool:
    try:
        with urlopen(f"{url}objects.inv", timeout=10):
            return True
    except (OSError, HTTPException):
        return False


_wanted = os.environ.get("DOCS_INTERSPHINX") == "1"
intersphinx_mapping = {
    name: (url, None) for name, url in _INVENTORIES.items() if _wanted and _reachable(url)
}
intersphinx_timeout = 20

# What -n need not find, and why.
nitpick_ignore_regex = [
    # other packages: their inventories are read on request only
    ("py:.*", r"(arviz|arviz_stats|matplotlib|numpy|pandas|pymc|xarray)\..*"),
    ("py:.*", r"(collections|concurrent|os|pathlib|typing)\..*"),
    ("py:data", r"Ellipsis|True|False"),
    # what the last section of the page on Model is for; no public names
    ("py:.*", r"bayes_msem\.(blueprint|data\.observed_data|spec\.table)\..*"),
]


# Docstrings ----------------------------------------------------------------------------------


def _for_napoleon(app, what, name, obj, options, lines):
    """Write two habits of numpydoc in the way that napoleon reads.

    It takes what stands before a colon in the first line of a property for a type, and
    "a, b" among attributes for one name.
    """
    if what in ("attribute", "property") and lines and ": " in lines[0]:
        head, tail = lines[0].split(": ", 1)
        lines[:1] = [f"{head}:", tail]
    if "Attributes" in lines:
        start = lines.index("Attributes") + 2
        for i in reversed(range(start, len(lines))):
            if re.fullmatch(r"\w+(, \w+)+", lines[i]):
                text = list(takewhile(lambda line: line.startswith(" "), lines[i + 1 :]))
                names = lines[i].split(", ")
                lines[i : i + 1 + len(text)] = [x for n in names for x in (n, *text)]


def setup(app):
    """Let the docstrings pass here before napoleon reads them."""
    app.connect("autodoc-process-docstring", _for_napoleon, priority=400)
