"""What the sections DATA, VARIABLE and ANALYSIS of an Mplus input say about a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bayes_msem.errors import nearest
from bayes_msem.spec.exchange.mplus_names import Names, numbered
from bayes_msem.spec.exchange.mplus_refusals import (
    ANALYSIS_OPTIONS,
    DELTA,
    PREPARE,
    REFUSED_TYPES,
    REFUSED_VARIABLE,
)
from bayes_msem.spec.exchange.mplus_sections import Command, Findings, Section, span_at
from bayes_msem.spec.syntax import Culprit

__all__ = ["Settings", "option", "read_settings"]

_OPTION = re.compile(r"\s*([A-Za-z]\w*)\s*(?:=|\b(?:IS|ARE)\b)\s*(.*)", re.IGNORECASE | re.DOTALL)
_NAME_OR_LIST = re.compile(r"[^\W\d][\w.]*(?:\s*-\s*[^\W\d][\w.]*)?")
_CODE = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")
_VARIABLE = (
    *("NAMES", "USEVARIABLES", "CLUSTER", "WITHIN", "BETWEEN", "MISSING", "CATEGORICAL", "COUNT"),
    *("IDVARIABLE", "AUXILIARY"),
)
_TYPES = {"GENERAL", "TWOLEVEL", "RANDOM", "MEANSTRUCTURE", "MISSING", "H1"}
_LIKELIHOOD = {"ML", "MLR", "MLF"}
_LEAST_SQUARES = {"WLS", "WLSM", "WLSMV", "ULS", "ULSMV"}


@dataclass
class Settings:
    """What is declared outside MODEL.

    Attributes
    ----------
    names
        NAMES and USEVARIABLES.
    within, between
        The lists of these names; variables on neither have a part at both levels.
    missing
        Codes of missing values by variable; "" for all.
    categorical, counts
        Outcomes that are not normal; counts with their family.
    estimator
        In capitals; empty if the input leaves it to Mplus.
    """

    names: Names = field(default_factory=Names)
    file: str = ""
    cluster: str = ""
    within: list[str] = field(default_factory=list)
    between: list[str] = field(default_factory=list)
    missing: dict[str, list[float]] = field(default_factory=dict)
    categorical: list[str] = field(default_factory=list)
    counts: dict[str, str] = field(default_factory=dict)
    two_level: bool = False
    estimator: str = ""
    link: str = ""
    parameterisation: str = ""
    listwise: bool = False
    no_covariances: bool = False

    @property
    def by_likelihood(self) -> bool:
        """Whether Mplus would maximise the likelihood."""
        if self.estimator:
            return self.estimator in _LIKELIHOOD
        return self.two_level or not self.categorical

    @property
    def uses_probit(self) -> bool:
        """Whether categories are cut from a normal latent response."""
        return self.link == "PROBIT" or (not self.link and not self.by_likelihood)


def read_settings(found: list[Section], findings: Findings) -> Settings:
    """Read all that stands outside MODEL.

    Parameters
    ----------
    found
        The sections.
    findings
        Gets what cannot be translated, and notes.
    """
    settings = Settings()
    readers: dict[str, Callable[[str, str, Command, Settings, Findings], None]] = {
        "DATA": _data,
        "VARIABLE": _variable,
        "ANALYSIS": _analysis,
    }
    for name, reader in readers.items():
        for section in (s for s in found if s.name == name):
            commands = sorted(section.commands, key=lambda c: not _is_names(c))  # NAMES first
            for command in commands:
                with findings.collecting():
                    key, value = option(command, findings.text)
                    reader(key, value, command, settings, findings)
    settings.names.used = settings.names.used or list(settings.names.columns)
    if settings.two_level and not settings.cluster:
        findings.notes.append(
            "TYPE = TWOLEVEL without CLUSTER: say model(data, cluster=...) which column it is."
        )
    return settings


def _is_names(command: Command) -> bool:
    return command.text.upper().startswith("NAME")


def option(command: Command, text: str) -> tuple[str, str]:
    """Cut ``KEY = value`` (or IS, ARE) in two; the key in capitals.

    Raises
    ------
    Culprit
        It has no value, or seems to hold two options with no ``;`` between them.
    """
    found = _OPTION.fullmatch(command.text)
    if found is None:
        raise _at(command, text, "This command cannot be read.", "Options are written KEY = value;")
    key, value = found[1].upper(), found[2].strip()
    second = re.search(r"([A-Za-z]\w*)\s*(?:=|\b(?:IS|ARE)\b)", value, re.IGNORECASE)
    if second and key not in ("DEFINE", "FILE"):
        start = command.start + found.start(2) + second.start(1)
        raise Culprit(
            f"A second option, '{second[1]}', in one command.",
            span_at(text, start, start + len(second[1])),
            "Every option ends with ';': one is missing before this word.",
        )
    return key, value


def _at(command: Command, text: str, problem: str, fix: str, *, supported: bool = True) -> Culprit:
    first = command.text.split("\n")[0].rstrip()
    place = span_at(text, command.start, command.start + len(first))
    return Culprit(problem, place, fix, supported=supported)


def _full(key: str, known: tuple[str, ...]) -> str:
    """Return an option in full; four letters suffice."""
    if key in known:
        return key
    return next((name for name in known if len(key) >= 4 and name.startswith(key)), key)


# Sections -----------------------------------------------------------------------------------------


def _data(key: str, value: str, command: Command, settings: Settings, findings: Findings) -> None:
    key = _full(key, ("FILE", "FORMAT", "TYPE", "LISTWISE", "NOBSERVATIONS", "VARIANCES"))
    at = f"Line {findings.line(command.start)}"
    if key == "FILE":
        settings.file = value.strip("\"'")
    elif key == "LISTWISE":
        settings.listwise = value.upper() == "ON"
    elif key == "TYPE" and value.upper() != "INDIVIDUAL":
        raise _at(
            command,
            findings.text,
            f"DATA: TYPE = {value} is not supported.",
            "Models are built from one data frame with a row per unit.",
            supported=False,
        )
    elif key == "FORMAT" and value.upper() != "FREE":
        findings.notes.append(f"{at}: FORMAT is for reading the file; pandas.read_fwf() reads it.")
    elif key not in ("FORMAT", "TYPE", "NOBSERVATIONS", "VARIANCES"):
        raise _at(
            command,
            findings.text,
            f"DATA: {key} is not supported.",
            PREPARE,
            supported=False,
        )


def _variable(
    key: str, value: str, command: Command, settings: Settings, findings: Findings
) -> None:
    key = _full(key, (*_VARIABLE, *REFUSED_VARIABLE))
    names = settings.names
    at = f"Line {findings.line(command.start)}"
    if key in REFUSED_VARIABLE:
        problem = f"VARIABLE: {key} is not supported."
        fix = REFUSED_VARIABLE[key]
        raise _at(command, findings.text, problem, fix, supported=False)
    if key == "NAMES":
        for name in _listed(value, command, findings, settings, new=True):
            if names.is_observed(name):
                problem = f"'{name}' stands twice in NAMES (case does not matter)."
                raise _at(command, findings.text, problem, "Rename one of the columns.")
            names.columns.append(name)
    elif key == "USEVARIABLES":
        names.used = _listed(value, command, findings, settings)
    elif key in ("CLUSTER", "WITHIN", "BETWEEN"):
        _levels(key, value, command, settings, findings)
    elif key == "MISSING":
        settings.missing = dict(_missing(value, command, findings, settings))
    elif key == "CATEGORICAL":
        settings.categorical = _listed(re.sub(r"\(.*?\)", "", value), command, findings, settings)
    elif key == "COUNT":
        settings.counts = dict(_counts(value, command, findings, settings))
    elif key in ("IDVARIABLE", "AUXILIARY"):
        findings.notes.append(f"{at}: {key} has no part in the model; it was left out.")
    else:
        raise _at(
            command,
            findings.text,
            f"VARIABLE: {key} is unknown{nearest(key, _VARIABLE) or '.'}",
            f"Options that are read: {', '.join(_VARIABLE)}.",
        )


def _levels(key: str, value: str, command: Command, settings: Settings, findings: Findings) -> None:
    if value.startswith("("):
        raise _at(
            command,
            findings.text,
            f"{key} = {value} belongs to a model of three levels or crossed clusters.",
            "Inputs of one and two levels are read. A model of three nested levels is written as "
            "text, with a block per level and cluster=[inner, outer].",
            supported=False,
        )
    if key != "CLUSTER" and not value:
        return  # WITHIN = ;
    listed = _listed(value, command, findings, settings)
    if key == "CLUSTER" and len(listed) > 1:
        raise _at(
            command,
            findings.text,
            f"CLUSTER names {len(listed)} columns.",
            "Inputs of one and two levels are read. A model of three nested levels is written as "
            "text, with a block per level and cluster=[inner, outer].",
            supported=False,
        )
    if key == "CLUSTER":
        settings.cluster = listed[0]
    elif key == "WITHIN":
        settings.within = listed
    else:
        settings.between = listed


def _listed(
    value: str, command: Command, findings: Findings, settings: Settings, *, new: bool = False
) -> list[str]:
    """Write out a list of names."""
    text = value.replace(",", " ")
    if text.strip().upper() == "ALL":
        return list(settings.names.columns)
    rest = _NAME_OR_LIST.sub(" ", text).strip()
    if rest or not text.strip():
        raise _at(
            command,
            findings.text,
            f"'{rest or command.text}' cannot be read in a list of names.",
            "Names hold letters, digits, '.' and '_', and begin with a letter; y1-y4 is a list.",
        )
    found: list[str] = []
    for match in _NAME_OR_LIST.finditer(text):
        first, dash, last = (part.strip() for part in match[0].partition("-"))
        if not dash:
            names: list[str] | None = [first if new else settings.names.spelt(first)]
        else:
            names = numbered(first, last) if new else settings.names.expand(first, last)
        if names is None:
            raise _at(
                command,
                findings.text,
                f"The list '{match[0]}' cannot be written out.",
                "Both ends stand in NAMES, the first one first, or differ in their number alone.",
            )
        found += names
    if not new and settings.names.columns:
        for name in found:
            _check_name(name, command, findings, settings)
    return list(dict.fromkeys(found)) if not new else found


def _check_name(name: str, command: Command, findings: Findings, settings: Settings) -> None:
    if not settings.names.is_observed(name):
        raise _at(
            command,
            findings.text,
            f"'{name}' does not stand in NAMES{nearest(name, settings.names.columns) or '.'}",
            "Variables of DEFINE are columns of the data frame here: add them to it and to NAMES.",
        )


def _missing(
    value: str, command: Command, findings: Findings, settings: Settings
) -> Iterator[tuple[str, list[float]]]:
    if value.strip() in (".", "*") or value.strip().upper() == "BLANK":
        return
    pieces = list(re.finditer(r"([^()]+)\(([^()]*)\)", value))
    if not pieces or re.sub(r"[^()]+\([^()]*\)", "", value).strip():
        raise _at(
            command,
            findings.text,
            f"MISSING = {value} cannot be read.",
            "Write MISSING = ALL (-99); or MISSING = y1-y4 (9 99);",
        )
    for piece in pieces:
        codes = re.sub(r"[\s,]+", " ", piece[2]).strip().split(" ")
        if not all(_CODE.fullmatch(code) for code in codes):
            raise _at(
                command,
                findings.text,
                f"The missing values ({piece[2]}) cannot be read.",
                "Write out the numbers; ranges are not read.",
            )
        numbers = [float(code) for code in codes]
        if piece[1].strip().upper() == "ALL":
            yield "", numbers
            continue
        for name in _listed(piece[1], command, findings, settings):
            yield name, numbers


_COUNTS = {"p": "poisson", "": "poisson", "nb": "negbinomial"}


def _counts(
    value: str, command: Command, findings: Findings, settings: Settings
) -> Iterator[tuple[str, str]]:
    for piece in re.finditer(r"([^()]+)(?:\(([^()]*)\))?", value):
        word = (piece[2] or "").strip().lower()
        if word not in _COUNTS:
            raise _at(
                command,
                findings.text,
                f"COUNT = ... ({word}) is not supported.",
                "There are Poisson (p) and negative binomial (nb) counts; zero-inflated and "
                "truncated ones are not there yet.",
                supported=False,
            )
        if not piece[1].strip():
            continue
        *before, last = _NAME_OR_LIST.findall(piece[1]) or [piece[1]]
        for text, family in ((" ".join(before), "poisson"), (last, _COUNTS[word])):
            # the word in parentheses belongs to the name or list before it
            for name in _listed(text, command, findings, settings) if text else ():
                yield name, family


def _analysis(
    key: str, value: str, command: Command, settings: Settings, findings: Findings
) -> None:
    key, words = _full(key, ANALYSIS_OPTIONS), value.upper().split()
    at = f"Line {findings.line(command.start)}"
    if key == "TYPE":
        _type(words, command, settings, findings)
    elif key == "ESTIMATOR":
        settings.estimator = words[0] if words else ""
        if settings.estimator not in (*_LIKELIHOOD, *_LEAST_SQUARES, "BAYES"):
            findings.notes.append(f"{at}: estimator {value}; here all models are Bayesian.")
    elif key == "LINK":
        if words not in (["LOGIT"], ["PROBIT"]):
            problem = f"ANALYSIS: LINK = {value} is not supported."
            raise _at(command, findings.text, problem, "Use LOGIT or PROBIT.", supported=False)
        settings.link = words[0]
    elif key == "MODEL":
        if words != ["NOCOVARIANCES"] and not (words and "NOCOVARIANCES".startswith(words[0])):
            problem = f"ANALYSIS: MODEL = {value} is not supported."
            fix = "Write the MODEL out."
            raise _at(command, findings.text, problem, fix, supported=False)
        settings.no_covariances = True
    elif key == "PARAMETERIZATION":
        settings.parameterisation = " ".join(words)
        if words == ["DELTA"]:
            findings.notes.append(f"{at}: {DELTA}")
        elif words != ["THETA"]:
            problem = f"ANALYSIS: PARAMETERIZATION = {value} is not supported."
            raise _at(command, findings.text, problem, "Use THETA.", supported=False)
    elif key in ANALYSIS_OPTIONS:
        findings.notes.append(
            f"{at}: {key} is about estimation; model.fit() has draws, tune and chains."
        )
    else:
        problem = f"ANALYSIS: {key} is unknown{nearest(key, ANALYSIS_OPTIONS) or '.'}"
        raise _at(command, findings.text, problem, "It is not read; take it out.", supported=False)


def _type(words: list[str], command: Command, settings: Settings, findings: Findings) -> None:
    for word in words:
        known = _full(word, (*sorted(_TYPES), *REFUSED_TYPES))
        if known in REFUSED_TYPES or known not in _TYPES:
            raise _at(
                command,
                findings.text,
                f"ANALYSIS: TYPE = {word} is not supported.",
                REFUSED_TYPES.get(known, "Use GENERAL, TWOLEVEL or TWOLEVEL RANDOM."),
                supported=False,
            )
        settings.two_level = settings.two_level or known == "TWOLEVEL"
