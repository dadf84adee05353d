"""What notebooks show: the numbers of the text, every name escaped, no colours of its own."""

from __future__ import annotations

import re
import warnings
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.markup import block, fold, grid, pairs, words
from tests.checking.laplace import laplace_fit

CLUSTER = "a<b> & 'c'"
VOID = {"br", "hr"}


class Page(HTMLParser):
    """All text; complains about elements that stay open or close nothing."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(25), 6)
    data = pd.DataFrame({CLUSTER: g, "x": rng.normal(size=150)})
    data["y"] = data["x"] + rng.normal(size=25)[g] + rng.normal(size=150)
    labels = ["<5", "<i>5-9</i>", ">9"]
    data["o"] = pd.Categorical(np.array(labels)[rng.integers(0, 3, 150)], labels, ordered=True)
    data.loc[3:9, "y"] = np.nan
    return data


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    spec = "level: within; y ~ x; level: between; y ~~ y"
    return laplace_fit(bm.Model(spec, data=frame(), cluster=CLUSTER))


@pytest.fixture(scope="module")
def shown(fit: bm.Fit) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.AccuracyWarning)
        return {
            "model": fit.model,
            "fit": fit,
            "mode": fit.model.mode(),
            "ml": fit.model.mode(prior=False),
            "loo": fit.loo(),
            "waic": fit.waic(),
            "dic": fit.dic(),
            "ppc": fit.ppc(["icc"], draws=10),
            "convergence": fit.convergence,
            "plan": fit.model.plan,
            "missing": fit.model.missing,
            "hypothesis": fit.hypothesis(["y ~ x > 0", "y ~ x < 2 & y ~ x > 1"]),
            "summary": fit.summary(standardized=True),
        }


NAMES = [
    *("model", "fit", "mode", "ml", "loo", "waic", "dic", "ppc", "convergence", "plan"),
    *("missing", "hypothesis", "summary"),
]


@pytest.mark.parametrize("name", NAMES)
def test_pages_are_whole_and_have_no_colours(shown: dict[str, Any], name: str) -> None:
    html = shown[name]._repr_html_()
    page = Page(html)
    assert not page.tags & {"script", "style", "link", "img", "b>", "b"}
    assert not re.search(r"#[0-9a-f]{3}|rgb\(|(?<!-)color:", html)
    assert len(page.words) > 3


@pytest.mark.parametrize("name", ["mode", "ml", "loo", "waic", "dic", "convergence", "plan"])
def test_numbers_are_those_of_the_text(shown: dict[str, Any], name: str) -> None:
    text, page = str(shown[name]), Page(shown[name]._repr_html_()).text
    if name in ("mode", "ml"):  # a frame of pandas as text
        for value in shown[name].values():
            assert f"{value:.4g}" in page
        text = text[text.index("log-likelihood") :]
    for word in re.findall(r"-?\d+\.\d+", text):
        assert word in page, word


def test_model(shown: dict[str, Any]) -> None:
    page = Page(shown["model"]._repr_html_()).text
    assert f"150 rows in 25 clusters ('{CLUSTER}')" in page
    for words_shown in (
        "Two-level Bayesian structural equation model",
        "covariate at level within (conditioned on) x",
        "y: 7 of 150 rows",
        "halfstudentt(4,",
        "integrated exactly",
    ):
        assert words_shown in page, words_shown


def test_fit(shown: dict[str, Any]) -> None:
    page = Page(shown["fit"]._repr_html_()).text
    assert "Fit of 2 chains x 100 draws" in page
    assert "two-level model of 150 rows in 25 clusters" in page
    assert "level: within; y ~ x" in page
    assert shown["convergence"].numbers in page


def test_labels_of_categories_are_escaped() -> None:
    spec = "level: within; o ~ x; level: between; o ~~ o"
    model = bm.Model(spec, data=frame(), cluster=CLUSTER, ordered=["o"])
    html = model._repr_html_()
    assert "&lt;i&gt;5-9&lt;/i&gt;" in html
    assert "<i>" not in html
    page = Page(html).text
    assert "Outcomes that are not normal" in page
    assert "3 categories: <5 < <i>5-9</i> < >9" in page


def test_long_parameter_tables_are_folded(fit: bm.Fit) -> None:
    assert "<details open" in fit.model._repr_html_()
    rng = np.random.default_rng(1)
    names = [f"y{i}" for i in range(20)]
    data = pd.DataFrame(rng.normal(size=(60, 20)), columns=names)
    wide = bm.Model(f"f =~ {' + '.join(names)}", data=data)
    assert "<details open" not in wide._repr_html_()


def test_pieces() -> None:
    assert "&lt;b&gt;" in block(pairs({"<b>": "<i>"}))
    assert Page(grid(("a", "b", "c"), [("x<", "1", "2")], left=2)).text == "a b c x< 1 2"
    assert grid(("a", "b"), []).count("text-align:left") == 1
    assert Page(fold("more <", words("a  <\nb"))).text == "more < a < b"
