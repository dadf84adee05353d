"""What is new together with what is new: refused, with the way out, before anything is computed."""

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm

ITEMS = "y1 + y2 + y3 + y4 + y5"
BLOCK = f'efa("a")*f1 + efa("a")*f2 =~ {ITEMS}'
LOG_SD = 'y1 ~ x\ny1 ~~ rv("v")*y1\nv ~ x'
THREE_LEVELS = """
level: within
    {within}
level: classroom
    y1 ~~ y1
level: school
    y1 ~~ y1
"""


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.standard_normal((240, 6)), columns=[*ITEMS.split(" + "), "x"])
    classroom = np.repeat(np.arange(60), 4)
    return data.assign(classroom=classroom, school=classroom // 3, country=classroom // 30)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (BLOCK, {"group": "country"}, "fit each group by itself"),
        (LOG_SD, {"group": "country"}, "Fit each group by itself"),
        (BLOCK + f"\n{LOG_SD}", {}, "confirmatory factors"),
        (
            THREE_LEVELS.format(within=BLOCK.replace("\n", "\n    ")),
            {"cluster": ["classroom", "school"]},
            "leave out level 'school'",
        ),
        (
            THREE_LEVELS.format(within=LOG_SD.replace("\n", "\n    ")),
            {"cluster": ["classroom", "school"]},
            "Leave out 'level: school'",
        ),
        (
            THREE_LEVELS.format(within="y1 ~ x"),
            {"cluster": ["classroom", "school"], "group": "country"},
            "group",
        ),
    ],
)
def test_not_there_together(
    frame: pd.DataFrame, text: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(bm.NotSupportedError, match=words):
        bm.Model(text, data=frame, **options)
