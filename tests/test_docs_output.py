"""Output that the documentation shows is that of its code: how it is refreshed and compared.

Ordinary tests run the pages that share the tutorial's fit; the slow ones all others.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.outputs import StaleOutput, differences, excerpt, numbers_left_behind
from tools.pages import DOCS, ROOT, WITH_FITS, blocks, blocks_of
from tools.refresh_docs import Session, pages_with_output, refreshed, run

TABLE = """\
within
  Regressions               label    mean      sd    lower   upper  ess_bulk  ess_tail  r_hat
    hostile_w ~ lead_w      bw     -0.571   0.045   -0.663  -0.484      5286      2856  1.005
    HOSTIL04 ~~ HOSTIL04           0.0018  0.0023  1.0e-06  0.0081      1967      1307  1.001
"""
VERDICT = (
    "ok  fit  Level between: fine (ppp 0.120 of chi_square_refit), ESS at least 837, 2 of 49.\n"
)


# Comparing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-0.571", "-0.564"),  # less than a fifth of the SD
        ("-0.663", "-0.645"),  # less than half an SD
        ("5286", "2300"),
        ("0.0023", "0.0026"),  # three units
        ("1.0e-06", "9.5e-05"),  # far less than the SD
        ("1.005", "1.001"),
    ],
)
def test_what_another_run_may_change(old: str, new: str) -> None:
    assert differences(TABLE, TABLE.replace(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-0.571", "-0.471"),
        ("-0.571", "0.571"),
        ("-0.663", "-0.610"),
        ("0.045", "0.060"),
        ("5286", "1800"),
        ("0.0081", "0.0181"),
        ("1.005", "1.025"),
    ],
)
def test_what_it_may_not(old: str, new: str) -> None:
    assert differences(TABLE, TABLE.replace(old, new)) == [f"{old} is shown, {new} is printed"]


def test_words_and_numbers_of_text() -> None:
    assert differences(VERDICT, VERDICT.replace("0.120", "0.150").replace("837", "1500")) == []
    assert differences(VERDICT, VERDICT.replace("0.120", "0.220"))
    assert differences(VERDICT, VERDICT.replace("49", "60"))
    assert differences(VERDICT, VERDICT.replace("Level between: fine", "The levels differ"))


# Excerpts and refreshing -----------------------------------------------------------------------


def test_excerpts_take_fresh_lines() -> None:
    shown = "Posterior\n...\n  a ~ 1   0.51  0.1\n\n  b ~~ b  2.0  0.3\nend\n"
    printed = "Posterior\n  c  7\n  a ~ 1   0.6  0.11\n  b ~~ b  2.5  0.31\n  b ~~ b  9  9\nend  \n"
    expected = "Posterior\n...\n  a ~ 1   0.6  0.11\n\n  b ~~ b  2.5  0.31\nend\n"
    assert excerpt(shown, printed) == expected


@pytest.mark.parametrize("printed", ["a 1\n", "b 2\na 1\n"])
def test_lines_that_are_gone_are_named(printed: str) -> None:
    with pytest.raises(StaleOutput, match="no line like this is printed any more: b 2"):
        excerpt("a 1\nb 2\n", printed)


def test_blocks_are_replaced_where_they_stand() -> None:
    page = "# T\n\n```text\nold\n```\n\nold\n\n<!-- excerpt -->\n```\nold 1\nold 2\n```\nend\n"
    first, second = blocks_of(page)
    assert refreshed(page, [(first, "new\n"), (second, "1\n")]) == (
        "# T\n\n```text\nnew\n```\n\nold\n\n<!-- excerpt -->\n```\n1\n```\nend\n"
    )


def test_numbers_in_the_text_are_named() -> None:
    text = "It is -0.57, between -0.663 and 0.12, in 49 companies."
    assert numbers_left_behind(TABLE, TABLE.replace("-0.571", "-0.534"), text) == ["-0.57"]
    assert numbers_left_behind(TABLE, TABLE.replace("-0.663", "-0.700"), text) == ["-0.663"]
    assert numbers_left_behind(TABLE, TABLE, text) == []


def test_borderline_findings_are_not_compared() -> None:
    shown = "  ok    fit         All (ppp 0.21).\n  look  prediction  1 of 49 (18)\n      much.\n"
    fresh = shown.replace("1 of 49 (18)", "2 of 49 (41, 42)")
    assert differences(shown, fresh) == []
    assert differences(shown, fresh.replace("0.21", "0.81"))


def test_the_last_expression_is_shown() -> None:
    names: dict[str, object] = {}
    (block,) = blocks_of("```python\nx = [1, 2]\nx\n```\n")
    assert run(block, names, "page") == "[1, 2]\n"
    (block,) = blocks_of("```python\nprint(x[0])\nx.append(3)\n```\n")
    assert run(block, names, "page") == "1\n"
    assert names["x"] == [1, 2, 3]


# Pages ---------------------------------------------------------------------------------------

ONE_FIT = ["README", "checks", "results", "tutorial"]


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


def check(session: Session, page: str) -> None:
    outputs = session.outputs(page)
    assert outputs
    for block, output in outputs:
        found = differences(block.body, output)
        assert not found, f"{page}:{block.line}: {found}; run make docs-output\n{output}"


@pytest.mark.parametrize("page", ONE_FIT)
def test_pages_with_the_fit_of_the_tutorial(session: Session, page: str) -> None:
    check(session, page)
    assert len(session._fits) == 1


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in pages_with_output() if page not in ONE_FIT])
def test_other_pages(session: Session, page: str) -> None:
    check(session, page)


def test_no_output_is_left_to_itself() -> None:
    """Every block of text is model text, or its source is known."""
    known = ("model text", "not output", "excerpt", "output of")
    for page in [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]:
        text, previous = page.read_text(encoding="utf-8"), None
        for block in blocks(page):
            if block.language in ("", "text") and not block.note.startswith(known):
                where = f"{page.name}:{block.line}"
                assert previous is not None, where
                assert not text[previous.end : block.start].strip(), where
                assert previous.language == "python", where
                assert previous.note in ("", WITH_FITS), where
            previous = block


def test_scripts_of_excerpts_exist() -> None:
    notes = [b.note for page in DOCS.glob("*.md") for b in blocks(page)]
    scripts = {n.removeprefix("excerpt of ") for n in notes if n.startswith("excerpt of ")}
    assert len(scripts) >= 5
    assert all(Path(ROOT, script).is_file() for script in scripts)
