"""Make loo_terms.csv: leave-one-company-out terms with and without `hostile_b ~ lead_b`."""

from pathlib import Path

import pandas as pd

import bayes_msem as bm

HERE = Path(__file__).parent
LINE = "hostile_b ~ bb*lead_b"

if __name__ == "__main__":
    text = (HERE / "model.txt").read_text().replace("contextual := bb - bw", "")
    terms = {}
    for name, line in (("with", LINE), ("without", "hostile_b ~ 0*lead_b")):
        model = bm.Model(
            text.replace(LINE, line), bm.datasets.load_dataset("lq2002"), cluster="COMPID"
        )
        fit = model.fit(draws=2000, tune=1000, chains=4, random_seed=1)
        terms[name] = fit.loo().pointwise
    pd.DataFrame(terms).to_csv(HERE / "loo_terms.csv")
