# %% [markdown]
# # Few and small clusters: what the priors do
#
# With 8 teams of a few members each, the data say little about level between, and the prior says
# the rest. That is no reason to despair, but one to know what the prior says, and to look whether
# the answer follows it. The data are the first 8 of the 90 simulated teams in `team_performance`;
# the true slope between teams is known. With 12 of them the two sets of priors below hardly differ:
# 8 were taken because the difference can be seen.

# %%
import matplotlib.pyplot as plt
import numpy as np

import bayes_msem as bm
from bayes_msem.datasets import describe_dataset

everything = bm.load_dataset("team_performance")
data = everything[everything["team"].isin(everything["team"].unique()[:8])]
truth = describe_dataset("team_performance").true_values
true_slope = truth["between", "engagement", "~", "autonomy"]
bm.describe(data, "team", ["autonomy", "engagement"])

# %% [markdown]
# ## Two sets of priors
#
# The default set is "informative": weakly so, chosen by a simulation study of 48 candidates ([the
# study](../../docs/prior_study.md)). The set "wide" gives slopes between much more room
# ([priors](../../docs/priors.md)).

# %%
text = """
    level: within
        engagement ~ bw*autonomy
    level: between
        engagement ~ bb*autonomy
    contextual := bb - bw
"""
informative = bm.Model(text, data=data, cluster="team")
wide = bm.Model(text, data=data, cluster="team", priors="wide")
columns = ["level", "lhs", "op", "rhs", "prior"]
table = informative.parameter_table[columns].assign(wide=wide.parameter_table["prior"])
print(table[table["level"] == "between"].to_string(index=False))

# %% [markdown]
# The warning says what this page is about. What do the priors say about data? Look at R² and the
# ICCs:

# %%
print(informative.prior_implied(random_seed=1))

# %%
print(wide.prior_implied(random_seed=1))

# %% [markdown]
# The median of R² between that each prior expects, before any data:

# %%
for name, model in {"informative": informative, "wide": wide}.items():
    implied = model.prior_implied(random_seed=1).table
    row = implied[(implied["quantity"] == "r2") & (implied["level"] == "between")].iloc[0]
    print(f"{name:12s} {row['median']:.2f} (95% interval {row['lower']:.2f} to {row['upper']:.2f})")

# %% [markdown]
# ## Both posteriors

# %%
fits = {
    "informative": informative.fit(random_seed=1),
    "wide": wide.fit(random_seed=1),
}
print(f"truth        {true_slope:.2f}")
for name, fit in fits.items():
    row = fit.summary().query("label == 'bb'").iloc[0]
    print(
        f"{name:12s} {row['median']:.2f} (median), 95% interval {row['lower']:.2f} "
        f"to {row['upper']:.2f}, width {row['upper'] - row['lower']:.2f}"
    )

# %% tags=["thumbnail"]
# Posterior (filled) and prior (line) of the slope between under both sets, and the truth (dashed)
figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
grid = np.linspace(-3, 4, 400)
for color, (name, fit) in zip(("tab:blue", "tab:orange"), fits.items(), strict=True):
    draws = fit.draws["bb"].ravel()
    axis.hist(
        draws,
        bins=80,
        range=(-3, 4),
        density=True,
        color=color,
        alpha=0.45,
        label=f"posterior, {name}",
    )
    shown = fit.model.parameter_table.query("label == 'bb'")["prior"].item()  # "normal(0, 2.1)"
    family, _, numbers = shown.rstrip(")").partition("(")
    prior = bm.Prior(family, tuple(float(number) for number in numbers.split(",")))
    axis.plot(
        grid, np.exp(prior.log_density(grid)), color=color, linewidth=1.5, label=f"prior, {name}"
    )
axis.axvline(true_slope, color="black", linestyle="dashed", linewidth=1, label="truth")
axis.set_xlabel("slope between teams")
axis.set_yticks([])
axis.legend()
figure

# %% [markdown]
# Both intervals hold the truth, and both are wide: that is what 8 teams know. The informative prior
# draws the slope a little towards zero and takes away a part of the upper tail.
#
# ## Does the answer follow the prior?
#
# Power-scaling asks how fast the posterior moves if the prior, or the likelihood, is made a little
# stronger ([checking priors](../../docs/prior_checks.md)). It needs no further fit:

# %%
print(fits["informative"].prior_sensitivity())

# %% [markdown]
# ## What would you report?
#
# The probability that teams with more autonomy are more engaged, beyond their members' own
# autonomy, under both sets:

# %%
for name, fit in fits.items():
    print(f"{name:12s} P(bb > bw) = {(fit.draws['contextual'] > 0).mean():.2f}")

# %% [markdown]
# If these answers agree, report the default and say that the wide set agrees. If they do not, the
# data leave the answer to the prior: report both.
#
# What the defaults cost is no secret, either: strong slopes of predictors that hardly vary between
# clusters are missed more often than with the wide set. The [study](../../docs/prior_study.md) has
# the tables.
#
# And all 90 teams, with the default:

# %%
full = bm.Model(text, data=everything, cluster="team").fit(random_seed=1)
row = full.summary().query("label == 'bb'").iloc[0]
print(
    f"90 teams: {row['median']:.2f} (median), 95% interval {row['lower']:.2f} to {row['upper']:.2f}"
)

# %% [markdown]
# ## References
#
# Gelman, A. (2006). Prior distributions for variance parameters in hierarchical models. *Bayesian
# Analysis, 1*(3), 515-534. <https://doi.org/10.1214/06-BA117A>
#
# Kallioinen, N., Paananen, T., Bürkner, P.-C., & Vehtari, A. (2024). Detecting and diagnosing prior
# and likelihood sensitivity with power-scaling. *Statistics and Computing, 34*, 57.
# <https://doi.org/10.1007/s11222-023-10366-5>
