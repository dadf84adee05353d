"""Names of categories may hold signs that mean something elsewhere."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

import bayes_msem as bm
from bayes_msem.plotting.canvas import text_width


def diagram_of(category: str) -> ET.Element:
    rows = [0.0, 1.0, 0.5, 2.0, 1.5, 0.3]
    data = pd.DataFrame({"y": rows, "g": ["a", category] * 3})
    data["g"] = pd.Categorical(data["g"], categories=["a", category])
    return ET.fromstring(bm.Model("y ~ g", data).diagram().svg)


def test_dollars_are_measured_as_they_are_drawn() -> None:
    pieces = ["x[T.", "$", "10-", "$", "20]"]  # between dollars stands no formula
    alone = [TextPath((0, 0), p, prop=FontProperties(size=12)).get_extents() for p in pieces]
    drawn = sum(float(extents.width) for extents in alone) / 72
    assert text_width(["".join(pieces)], 12) >= drawn
    assert text_width([r"$\nothing$"], 12) > text_width([r"nothing"], 12)  # no command of TeX


@pytest.mark.parametrize("sign", ["\x07", "\x1b", "\ufffe"])
def test_signs_that_no_svg_may_hold_are_replaced(sign: str) -> None:
    svg = diagram_of(f"b{sign}c")  # else it cannot be read
    texts = [found.text for found in svg.iter() if found.tag.endswith("}text")]
    assert "g[T.b\N{REPLACEMENT CHARACTER}c]" in texts
