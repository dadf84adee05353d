"""Typical models twice: as Mplus inputs, and as model texts with the arguments of ``Model``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Pair:
    """An input, and what ``Model`` is given in its place."""

    mplus: str
    text: str
    arguments: dict[str, Any] = field(default_factory=dict)


PAIRS = {
    "contextual model": Pair(
        """
TITLE:    Does the latent mean of x matter beyond x?
DATA:     FILE IS pupils.dat;
VARIABLE: NAMES ARE school y x w z;
          USEVARIABLES ARE school y x w;
          CLUSTER IS school;
          BETWEEN IS w;
          MISSING ARE ALL (-99);
ANALYSIS: TYPE IS TWOLEVEL; ESTIMATOR IS BAYES; CHAINS = 4;
MODEL:
  %WITHIN%
  y ON x (bw);
  %BETWEEN%
  y ON x (bb)
       w;
MODEL CONSTRAINT:
  NEW(context);
  context = bb - bw;
OUTPUT:   STANDARDIZED;
""",
        """
level: within
    y ~ bw*x
level: between
    y ~ bb*x + w
context := bb - bw
""",
        {"cluster": "school"},
    ),
    "1-1-1 mediation with random slopes": Pair(
        """
VARIABLE: NAMES = school x m y;
          CLUSTER = school; WITHIN = x;
ANALYSIS: TYPE = TWOLEVEL RANDOM;
MODEL:
  %WITHIN%
  sa | m ON x;
  sb | y ON m;
  sc | y ON x;
  %BETWEEN%
  [sa] (a);
  [sb] (b);
  sa WITH sb (cab);
  sa sb WITH sc;
  sa-sc WITH m y;
  m WITH y;
MODEL CONSTRAINT:
  NEW(ind);
  ind = a*b + cab;
""",
        """
level: within
    m ~ rv("sa")*x
    y ~ rv("sb")*m + rv("sc")*x
level: between
    sa ~ a*1
    sb ~ b*1
    sa ~~ cab*sb
    sa ~~ sc
    sb ~~ sc
    sa ~~ m + y
    sb ~~ m + y
    sc ~~ m + y
    m ~~ y
ind := a*b + cab
""",
        {"cluster": "school", "random_covariances": "none"},
    ),
    "2-1-1 mediation": Pair(
        """
VARIABLE: NAMES = school w m y;
          CLUSTER = school; BETWEEN = w;
ANALYSIS: TYPE = TWOLEVEL;
MODEL:
  %WITHIN%
  y ON m (bw);
  %BETWEEN%
  m ON w (a);
  y ON m (bb)
       w (cp);
MODEL CONSTRAINT:
  NEW(indb total);
  indb = a*bb;
  total = indb + cp;
""",
        """
level: within
    y ~ bw*m
level: between
    m ~ a*w
    y ~ bb*m + cp*w
indb := a*bb
total := indb + cp
""",
        {"cluster": "school"},
    ),
    "two-level factor model": Pair(
        """
VARIABLE: NAMES = school y1-y6 x w;
          USEVARIABLES = school-y6;
          CLUSTER = school;
ANALYSIS: TYPE = TWOLEVEL;
MODEL:
  %WITHIN%
  fw BY y1-y3;
  gw BY y4* y5-y6;  gw@1;
  y1 WITH y4;
  %BETWEEN%
  fb BY y1-y6;
  y1-y2@0 y3*0.1;
""",
        """
level: within
    fw =~ y1 + y2 + y3
    gw =~ NA*y4 + y5 + y6
    gw ~~ 1*gw
    y1 ~~ y4
level: between
    fb =~ y1 + y2 + y3 + y4 + y5 + y6
    y1 ~~ 0*y1
    y2 ~~ 0*y2
    y3 ~~ start(0.1)*y3
""",
        {"cluster": "school"},
    ),
    "two-level factor model with equal loadings": Pair(
        """
VARIABLE: NAMES = school y1-y4;
          CLUSTER = school;
ANALYSIS: TYPE = TWOLEVEL;
MODEL:
  %WITHIN%
  fw BY y1@1
        y2-y4 (l2-l4);
  fw (vw);
  %BETWEEN%
  fb BY y1@1
        y2-y4 (l2-l4);
  fb (vb);
MODEL CONSTRAINT:
  NEW(icc);
  icc = vb/(vb + vw);
MODEL PRIORS:
  l2-l4 ~ N(1, 0.25);
""",
        """
level: within
    fw =~ 1*y1 + l2*y2 + l3*y3 + l4*y4
    fw ~~ vw*fw
level: between
    fb =~ 1*y1 + l2*y2 + l3*y3 + l4*y4
    fb ~~ vb*fb
icc := vb/(vb + vw)
""",
        {"cluster": "school", "priors": {name: "normal(1, 0.5)" for name in ("l2", "l3", "l4")}},
    ),
    "cross-level interaction": Pair(
        """
VARIABLE: NAMES = school y x w;
          CLUSTER = school; WITHIN = x; BETWEEN = w;
ANALYSIS: TYPE = TWOLEVEL RANDOM;
MODEL:
  %WITHIN%
  s | y ON x;
  %BETWEEN%
  y s ON w;
  y WITH s;
""",
        """
level: within
    y ~ rv("s")*x
level: between
    y + s ~ w
    y ~~ s
""",
        {"cluster": "school"},
    ),
    "random loadings": Pair(
        """
VARIABLE: NAMES = school y1-y4;
          CLUSTER = school;
ANALYSIS: TYPE = TWOLEVEL RANDOM; ESTIMATOR = BAYES;
MODEL:
  %WITHIN%
  s1-s4 | fw BY y1-y4;
  fw@1;
  %BETWEEN%
  fb BY y1-y4*; fb@1;
  [s1-s4*1];
""",
        """
level: within
    fw =~ rv("s1")*y1 + rv("s2")*y2 + rv("s3")*y3 + rv("s4")*y4
    fw ~~ 1*fw
level: between
    fb =~ NA*y1 + y2 + y3 + y4
    fb ~~ 1*fb
    s1 ~ start(1)*1
    s2 ~ start(1)*1
    s3 ~ start(1)*1
    s4 ~ start(1)*1
""",
        {"cluster": "school", "random_covariances": "none"},
    ),
    "ordinal factor model": Pair(
        """
VARIABLE: NAMES = u1-u4 x;
          CATEGORICAL = u1-u4;
ANALYSIS: PARAMETERIZATION = THETA;
MODEL:
  f BY u1-u4;
  f ON x;
  [u1$1] (t);
  [u2$1] (t);
""",
        """
f =~ u1 + u2 + u3 + u4
f ~ x
u1 | t*t1
u2 | t*t1
""",
        {"ordered": ["u1", "u2", "u3", "u4"]},
    ),
    "two-level logistic regression": Pair(
        """
VARIABLE: NAMES = school u1 x w;
          CATEGORICAL = u1; CLUSTER = school; WITHIN = x; BETWEEN = w;
ANALYSIS: TYPE = TWOLEVEL;
MODEL:
  %WITHIN%
  u1 ON x;
  %BETWEEN%
  u1 ON w;
""",
        """
level: within
    u1 ~ x
level: between
    u1 ~ w
""",
        {"cluster": "school", "families": {"u1": "ordinal(logit)"}},
    ),
    "growth model": Pair(
        """
VARIABLE: NAMES = y1-y4 x;
MODEL:
  i s | y1@0 y2@1 y3@2 y4@3;
  i s ON x;
""",
        """
i =~ 1*y1 + 1*y2 + 1*y3 + 1*y4
s =~ 0*y1 + 1*y2 + 2*y3 + 3*y4
y1 + y2 + y3 + y4 ~ 0*1
i + s ~ 1
i + s ~ x
""",
    ),
    "counts": Pair(
        """
VARIABLE: NAMES = school c x w;
          COUNT = c (nb); CLUSTER = school; WITHIN = x; BETWEEN = w;
ANALYSIS: TYPE = TWOLEVEL RANDOM;
MODEL:
  %WITHIN%
  s | c ON x;
  %BETWEEN%
  c s ON w;
""",
        """
level: within
    c ~ rv("s")*x
level: between
    c + s ~ w
""",
        {
            "cluster": "school",
            "families": {"c": "negbinomial"},
            "random_covariances": "none",
        },
    ),
}


def frame() -> pd.DataFrame:
    """Data with all columns of the inputs: 30 schools of 6."""
    rng = np.random.default_rng(4)
    school = np.repeat(np.arange(30), 6)
    between = rng.normal(size=30)[school]
    columns: dict[str, Any] = {"school": school, "w": rng.normal(size=30)[school]}
    for name in ("x", "z", "m", "y", *(f"y{i}" for i in range(1, 7))):
        columns[name] = between + rng.normal(size=180)
    for name in ("u1", "u2", "u3", "u4"):
        columns[name] = np.digitize(between + rng.normal(size=180), [-0.5, 0.7])
    columns["c"] = rng.poisson(np.exp(0.3 * between))
    return pd.DataFrame(columns)
