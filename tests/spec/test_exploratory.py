"""Blocks of exploratory factors: their three forms, and what contradicts a rotation."""

import numpy as np
import pytest

from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.spec.default_priors import default_priors
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.exploratory import echelon, echelon_priors, spherical
from bayes_msem.spec.parser import parse
from bayes_msem.spec.printing import to_syntax
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import ParameterTable
from bayes_msem.spec.variable_scales import Scales

NAMES = [f"y{i}" for i in range(1, 7)]
ITEMS = " + ".join(NAMES)
BLOCK = f'efa("a")*f1 + efa("a")*f2 =~ {ITEMS}'
PIVOTS = {"a": ("y4", "y2")}


def table_of(text: str, **options: bool) -> ParameterTable:
    return build_table(parse(text), [*NAMES, "x", "z"], **options)


def values(table: ParameterTable, *kinds: str) -> dict[str, float | None]:
    """Constants of rows, None where they are free."""
    return {
        f"{r.lhs} {r.op} {r.rhs}": None if r.free else r.value
        for r in table.rows
        if r.kind in kinds
    }


def test_the_reported_form() -> None:
    table = table_of(BLOCK)
    assert [(b.name, b.level, b.factors, b.indicators) for b in table.blocks] == [
        ("a", "within", ("f1", "f2"), tuple(NAMES))
    ]
    assert set(values(table, "loading").values()) == {None}
    assert len(values(table, "loading")) == 12
    assert values(table, "covariance") == {"f1 ~~ f2": None}
    found = values(table, "variance")
    assert (found["f1 ~~ f1"], found["f2 ~~ f2"], found["y1 ~~ y1"]) == (1.0, 1.0, None)


def test_an_orthogonal_rotation_has_no_covariances() -> None:
    assert values(table_of(BLOCK, oblique=False), "covariance") == {"f1 ~~ f2": 0.0}


def test_residuals_of_predicted_factors_covary() -> None:
    table = table_of(f"{BLOCK}\nf1 + f2 ~ x\nz ~ f1 + f2")
    assert values(table, "covariance") == {"f1 ~~ f2": None}
    assert values(table, "variance")["f1 ~~ f1"] == 1.0


def test_the_sampled_form_is_a_triangle_of_pivots() -> None:
    table = echelon(spherical(table_of(BLOCK)), PIVOTS)
    fixed = {name: v for name, v in values(table, "loading", "covariance").items() if v is not None}
    assert fixed == {"f2 =~ y4": 0.0, "f1 ~~ f2": 0.0}


def test_priors_of_pivots() -> None:
    table = spherical(table_of(BLOCK))
    scales = Scales({v: 0.0 for v in NAMES}, {v: 2.0 for v in NAMES}, {}, {})
    priors = default_priors(table, scales)
    found = echelon_priors(table, priors, PIVOTS)
    by_row = {f"{r.lhs} =~ {r.rhs}": found[r.free] for r in table.rows if r.kind == "loading"}
    assert by_row["f1 =~ y1"] == by_row["f2 =~ y1"] == Prior("normal", (0.0, 2.0))
    assert by_row["f1 =~ y4"] == Prior("chi", (2.0, 2.0))
    assert by_row["f1 =~ y2"] == Prior("normal", (0.0, 2.0))
    assert by_row["f2 =~ y2"] == Prior("chi", (1.0, 2.0))


@pytest.mark.parametrize("order", [("y4", "y2", "y6"), ("y1", "y5", "y2")])
def test_the_prior_does_not_depend_on_the_pivots(order: tuple[str, ...]) -> None:
    """Products of loadings of the sampled form have the distribution of spherical loadings."""
    rng, draws = np.random.default_rng(6), 20_000
    names = [f"y{i}" for i in range(1, 8)]
    text = f'efa("a")*f1 + efa("a")*f2 + efa("a")*f3 =~ {" + ".join(names)}'
    table = spherical(build_table(parse(text), names))
    scale = {v: 0.5 + i for i, v in enumerate(names)}
    priors = default_priors(table, Scales(dict.fromkeys(names, 0.0), scale, {}, {}))
    pivots = {"a": order}
    sampled, found = echelon(table, pivots), echelon_priors(table, priors, pivots)
    loadings = np.zeros((draws, 7, 3))
    for row in sampled.rows:
        if row.kind == "loading" and row.free:
            prior = found[row.free]
            column = prior.definition.sample(rng, list(prior.arguments), draws)
            loadings[:, names.index(row.rhs), int(row.lhs[1]) - 1] = column
    free = rng.standard_normal((draws, 7, 3)) * np.array(list(scale.values()))[:, None]
    for some in (loadings, free):
        some /= np.array(list(scale.values()))[:, None]
    one, other = (a @ a.transpose(0, 2, 1) for a in (loadings, free))
    # first and second moments of 28 products, each within five standard errors
    for power in (1, 2):
        difference = (one**power).mean(axis=0) - (other**power).mean(axis=0)
        error = np.sqrt(((one**power).var(axis=0) + (other**power).var(axis=0)) / draws)
        assert (np.abs(difference) < 5 * error).all()


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ('efa("a")*f1 + efa("a")*f2 =~ y1 + y2 + y3', SpecificationError, "2 factors for 3"),
        (
            'efa("a")*f1 =~ y1 + y2 + y3 + y4 + y5\nefa("a")*f2 =~ y1 + y2 + y3 + y4 + y6',
            SpecificationError,
            "'y5' is not an indicator of both",
        ),
        (f"{BLOCK}\nf1 ~~ f2", SpecificationError, "rotation's to say"),
        (f"{BLOCK}\nf2 ~ f1", SpecificationError, "rotation's to say"),
        (f"{BLOCK}\nf1 ~~ 2*f1", SpecificationError, "carry no modifiers"),
        (f"{BLOCK}\nf1 ~ 0.5*x", SpecificationError, "one rotation only"),
        (f"{BLOCK}\nf1 =~ z", SpecificationError, "belongs to the block"),
        (f"{BLOCK}\ng =~ f1 + f2", NotSupportedError, "second-order"),
        (BLOCK.replace("y1", "b*y1"), SpecificationError, "carry no modifiers"),
        (
            f'level: within\n{BLOCK}\nz ~ rv("s")*f1\nlevel: between\nz ~~ z',
            NotSupportedError,
            "a rotation of its own",
        ),
        (
            f"level: within\n{BLOCK}\nlevel: between\n{BLOCK}",
            SpecificationError,
            "stands at both levels",
        ),
    ],
)
def test_errors(text: str, error: type[Exception], words: str) -> None:
    cluster = "c" if "level" in text else None
    with pytest.raises(error, match=words):
        build_table(parse(text), [*NAMES, "x", "z"], cluster=cluster)


def test_written_out_it_reads_back() -> None:
    table = table_of(f"{BLOCK}\nf1 + f2 ~ x\nz ~ a*f1 + f2\ntwice := 2*a")
    again = build_table(parse(to_syntax(table)), [*NAMES, "x", "z"])
    assert [(r.key, r.free, r.label) for r in again.rows] == [
        (r.key, r.free, r.label) for r in table.rows
    ]
    assert again.blocks == table.blocks
