# %% [markdown]
# # A first analysis
#
# From a table of answers to a sentence for the results section. The question: do schools that their
# students experience as safe and fair keep their teachers? The data are 30 schools (simulated,
# shipped with the package); use your own file with `pd.read_csv("file.csv")` in place of the line
# that loads them.

# %%
import pandas as pd

import bayes_msem as bm

data = bm.load_dataset("school_climate")
data.head()

# %% [markdown]
# Each row is a student. `school` says which students belong together, `safety` to `fairness` are
# four questions on climate, `ses` is the student's socio-economic status, `urban` and `retention`
# (the per cent of teachers who stay) are the same for all students of a school.
#
# ## Look at the clusters
#
# How much do schools differ, and how well do the means of their students tell them apart?

# %%
bm.describe(data, "school", ["safety", "respect", "support", "fairness", "ses"])

# %% [markdown]
# `ICC(1)` is the share of variance between schools, `ICC(2)` the reliability of a school's mean.
#
# ## Declare the model
#
# Two blocks, one for each level, in lavaan's syntax. The four questions stand in both: students of
# one school differ in how they see it (`climate_w`), and schools differ in how they are seen
# (`climate_b`).

# %%
model = bm.Model(
    """
    level: within
        climate_w =~ safety + respect + support + fairness
        climate_w ~ ses
    level: between
        climate_b =~ safety + respect + support + fairness
        climate_b ~ urban
        retention ~ keep*climate_b
    """,
    data=data,
    cluster="school",
)
print(model)

# %% [markdown]
# Read this before you sample. Is every variable what you meant it to be? Would you bet on these
# priors ([priors](../../docs/priors.md))? Then the notes: one school has a single student, which
# does no harm. And `ses` is used as it is, so its slope mixes what goes on inside schools with
# differences between them. It is no part of our question here; [contextual
# effects](contextual_effects.md) are the next page. The same model as a path diagram:

# %%
# Path diagram of both levels
model.diagram()

# %% [markdown]
# ## Fit

# %%
fit = model.fit(random_seed=1)
print(fit)

# %% [markdown]
# The line in the middle is what to look at first: if the chains had not converged, it would say so,
# and a warning would say what to do.
#
# ## Read the results

# %%
fit.summary(standardized=True)

# %% [markdown]
# Rows `x ~~ x` are variances. `std_all` is the standardised value within its level.

# %%
keep = fit.summary().query("label == 'keep'").iloc[0]
print(
    f"In schools one point higher in climate, retention is {keep['mean']:.1f} percentage "
    f"points higher (95% interval {keep['lower']:.1f} to {keep['upper']:.1f})."
)

# %% [markdown]
# That sentence was printed from the draws. The data are simulated, so here we can look behind the
# scenes. Of 95% intervals, about one in twenty is expected to miss the true value:

# %%
from bayes_msem.datasets import describe_dataset

truth = describe_dataset("school_climate").true_values
table = fit.summary().set_index(["level", "lhs", "op", "rhs"])
table["truth"] = pd.Series(truth)
table = table[(table["sd"] > 0) & table["truth"].notna()]
missed = table[(table["truth"] < table["lower"]) | (table["truth"] > table["upper"])]
print(f"{len(table) - len(missed)} of {len(table)} true values lie inside; outside:")
print(missed[["truth", "median", "lower", "upper"]].round(2).to_string())

# %% tags=["thumbnail"]
# Estimates of level between with 50% and 95% intervals, and the true values
fit.plot_forest("between", rows=["loading", "regression"], reference=truth, reference_label="truth")

# %% [markdown]
# How much of each variable lies between schools, how much is explained, and how reliable the scales
# are:

# %%
print(fit.icc())
print()
print(fit.r2())
print()
print(fit.reliability())

# %% [markdown]
# ## Check
#
# One call goes through the chains, data replicated from the model, prediction of schools left out,
# and the influence of priors ([checks](../../docs/checks.md)):

# %%
fit.check()

# %% [markdown]
# ## Report
#
# A table as journals want it, here as Markdown; `fit.to_table("table.docx")` writes one for Word,
# and `fit.report("report.html")` a page with everything.

# %% tags=["markdown"]
print(fit.to_table(format="markdown", level="between"))

# %% [markdown]
# Next: [contextual effects](contextual_effects.md), or the longer
# [tutorial](../../docs/tutorial.md).
