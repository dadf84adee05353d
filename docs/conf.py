"""Sphinx configuration of the site: `make docs` builds it into docs/_build/html.

Nothing is read from the network unless DOCS_INTERSPHINX=1; then types of other packages become
links to their pages, as far as their inventories can be reached.
"""

import os
import re
from http.client import HTTPException
from importlib.metadata import version as _version
from itertools import takewhile
from pathlib import Path
from urllib.request import urlopen

from docutils import nodes
from latex2mathml.converter import convert

project = "bayes_msem"
author = "The bayes_msem developers"
copyright = "The bayes_msem developers"
release = version = _version("bayes_msem")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",  # after napoleon
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "paper"]
templates_path = ["_templates"]
html_theme = "furo"
html_math_renderer = "mathml"  # browsers draw it by themselves, without scripts and offline
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
typehints_document_rtype = False  # docstrings say it
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
    ("py:.*", r"bayes_msem\.plotting\.diagram_scene\..*"),  # what a Diagram is drawn from
]


# Docstrings ----------------------------------------------------------------------------------


_RETURNED = {"Fit": "bayes_msem.Fit", "Model": "bayes_msem.Model"} | {
    path.rpartition(".")[2]: path
    for path in re.findall(
        r"autoclass:: (\S+)",
        Path(__file__).with_name("api_results.md").read_text(encoding="utf-8"),
    )
}


def _for_napoleon(app, what, name, obj, options, lines):
    """Write habits of numpydoc in the way that napoleon reads.

    It takes what stands before a colon in the first line of a property for a type, and
    "a, b" among attributes for one name; and types that are returned become links.
    """
    if "Returns" in lines:
        at = lines.index("Returns") + 2
        if lines[at] in _RETURNED:
            lines[at] = f":class:`~{_RETURNED[lines[at]]}`"
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


# Mathematics ---------------------------------------------------------------------------------

_FUNCTION = re.compile(r"(<mi>(?:cos|det|exp|log|max|min|sin|tanh)</mi>)(?=<m(?!o|row>\s*<mo))")


def _mathml(latex, display):
    """Convert; with a space between function and argument, none around infinity and inside bars."""
    text = _FUNCTION.sub(r'\1<mspace width="0.17em"/>', convert(latex, display=display))
    text = text.replace("<mo>&#x0221E;</mo>", "<mi>&#x0221E;</mi>")
    bar = '<mo stretchy="false">&#x0007C;</mo>'
    return text.replace(bar, bar.replace("<mo ", '<mo lspace="0" rspace="0" '))


def _inline(translator, node):
    translator.body.append(_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _block(translator, node):
    translator.body.append(f'<div class="math">{_mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Let the docstrings pass here before napoleon reads them."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("autodoc-process-docstring", _for_napoleon, priority=400)
