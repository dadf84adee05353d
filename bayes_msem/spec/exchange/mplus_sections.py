"""An Mplus input as sections and commands, each with its place in the text.

Sections begin with a heading such as ``MODEL:``, commands end with ``;``, and ``!`` begins a
comment that runs to the end of the line (``!* ... *!`` is one of several lines). Comments are
blanked out, so that positions stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bayes_msem.errors import ModelSyntaxError, nearest
from bayes_msem.spec.statements import Span
from bayes_msem.spec.syntax import Culprit

__all__ = ["Command", "Findings", "Section", "sections", "span_at"]

SECTIONS = (
    *("TITLE", "DATA", "VARIABLE", "DEFINE", "ANALYSIS", "MODEL", "OUTPUT", "SAVEDATA", "PLOT"),
    *("MONTECARLO", "MODEL CONSTRAINT", "MODEL PRIORS", "MODEL INDIRECT", "MODEL TEST"),
    *("MODEL POPULATION", "MODEL COVERAGE", "MODEL MISSING", "DATA IMPUTATION"),
    *("DATA WIDETOLONG", "DATA LONGTOWIDE", "DATA TWOPART", "DATA MISSING", "DATA SURVIVAL"),
    *("DATA COHORT",),
)
_LONGEST_LINE = 90  # columns that Mplus reads
_BLOCK_COMMENT = re.compile(r"!\*.*?\*!", re.DOTALL)
_COMMENT = re.compile(r"![^\n]*")
_HEADING = re.compile(r"(?:^|(?<=;))[^\S\n]*([A-Za-z]{3,}(?:[ \t]+[\w-]+)?)[ \t]*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Command:
    """What stands up to a ``;``.

    Attributes
    ----------
    text
        The command without its ``;`` and without comments.
    start
        Position of its first character in the input.
    """

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Section:
    """A section: its name, where its heading stands, its commands, and its text."""

    name: str
    start: int
    heading: str
    commands: tuple[Command, ...]
    text: str


@dataclass
class Findings:
    """What a reader comes across: commands that stop it, and what its user should know.

    Attributes
    ----------
    text
        The input.
    culprits
        What cannot be translated; reading goes on, so that all of it is found at once.
    notes
        What is worth knowing.
    losses
        What was left out although it changes results, such as priors.
    """

    text: str
    culprits: list[Culprit] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep a culprit, and go on with the next command."""
        try:
            yield
        except Culprit as culprit:
            self.culprits.append(culprit)

    def line(self, position: int) -> int:
        """Return the number of a line, from 1."""
        return self.text.count("\n", 0, position) + 1

    def check(self) -> None:
        """Raise the error of all culprits together, in the order of their lines."""
        if self.culprits:
            raise _joined(sorted(self.culprits, key=lambda c: c.place.line), self.text)


def _joined(culprits: list[Culprit], text: str) -> ModelSyntaxError:
    first, *others = culprits
    also = [f"Line {c.place.line}: {c.problem} {c.suggestion}".rstrip() for c in others]
    # whatever is misspelt has to be mended first; only then is the rest a matter of support
    supported = any(c.supported for c in culprits)
    joined = "\n".join(filter(None, [first.suggestion, *dict.fromkeys(also)]))
    return Culprit(first.problem, first.place, joined, supported=supported).located(text)


def span_at(text: str, start: int, end: int) -> Span:
    """Return where a piece of the text stands."""
    lines = [text.count("\n", 0, position) + 1 for position in (start, end)]
    columns = [position - text.rfind("\n", 0, position) for position in (start, end)]
    return Span(lines[0], columns[0], lines[1], columns[1])


def sections(findings: Findings) -> list[Section]:
    """Cut an input into its sections.

    Parameters
    ----------
    findings
        The input; gets notes on lines that Mplus would cut off and on missing semicolons.

    Raises
    ------
    Culprit
        There is no section, or text that belongs to none.
    """
    text = findings.text
    plain = _without_comments(text)
    headings = list(_headings(plain, text))
    if not headings:
        raise Culprit(
            "There is no section in this Mplus input.",
            Span(1, 1, 1, 2),
            "Sections begin with headings such as VARIABLE: and MODEL:.",
        )
    before = plain[: headings[0][1]]
    if before.strip():
        start = len(before) - len(before.lstrip())
        raise Culprit(
            "This stands before the first section.",
            span_at(text, start, start + len(before.strip().split("\n")[0])),
            "Sections begin with headings such as VARIABLE: and MODEL:.",
        )
    _note_long_lines(findings, plain)
    ends = [start for _, start, _ in headings[1:]] + [len(plain)]
    found = []
    for (name, start, body), end in zip(headings, ends, strict=True):
        commands = () if name == "TITLE" else tuple(_commands(plain, body, end, findings))
        found.append(Section(name, start, text[start:body].strip(), commands, plain[body:end]))
    return found


def _without_comments(text: str) -> str:
    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    return _COMMENT.sub(blank, _BLOCK_COMMENT.sub(blank, text))


def _headings(plain: str, text: str) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and end of every heading."""
    title = False
    for match in _HEADING.finditer(plain):
        name = section_name(match[1])
        start = match.start(1)
        inside = plain[:start].rpartition("\n")[2].strip() != ""
        if title and (inside or name not in SECTIONS):
            continue  # a title may hold any words
        if name is None:
            raise Culprit(
                f"'{match[1]}:' is no section of an Mplus input"
                f"{nearest(match[1].upper(), SECTIONS) or '.'}",
                span_at(text, start, match.end(1)),
                f"Sections: {', '.join(SECTIONS[:12])}.",
            )
        title = name == "TITLE"
        yield name, start, match.end()


def section_name(words: str) -> str | None:
    """Return the section that a heading names, in full; its words may be cut to four letters."""
    given = words.upper().split()
    found = []
    for name in SECTIONS:
        whole = name.split()
        if len(whole) == len(given) and all(
            w == g or (len(g) >= 4 and w.startswith(g)) for w, g in zip(whole, given, strict=True)
        ):
            found.append(name)
    if not found and len(given) == 2 and given[0] == "MODEL":
        return f"MODEL {given[1]}"  # of a group or a class; refused with its line
    return found[0] if found else None


def _commands(plain: str, start: int, end: int, findings: Findings) -> Iterator[Command]:
    while start < end:
        stop = plain.find(";", start, end)
        last = stop < 0
        stop = end if last else stop
        piece = plain[start:stop]
        if piece.strip():
            begin = start + len(piece) - len(piece.lstrip())
            if last:
                findings.notes.append(
                    f"Line {findings.line(begin)}: the last command of its section has no ';'; it "
                    "is read as if it had one."
                )
            yield Command(piece.strip(), begin)
        start = stop + 1


def _note_long_lines(findings: Findings, plain: str) -> None:
    long = [
        i for i, line in enumerate(plain.split("\n"), start=1) if len(line.rstrip()) > _LONGEST_LINE
    ]
    if long:
        numbers = ", ".join(map(str, long[:5])) + (", ..." if len(long) > 5 else "")
        findings.notes.append(
            f"Line {numbers}: longer than {_LONGEST_LINE} columns. Here the whole line is read; "
            "Mplus may cut it off."
        )
