# %% [markdown]
# # Every cluster its own covariance matrix
#
# A factor model assumes that the same covariance matrix holds in all clusters. Clusters may differ
# in more than their means: in some the items hang together more closely, in some answers are
# noisier, in some people differ more. Ansari, Jedidi and Dube (2002; Ansari & Jedidi, 2000, for
# binary items) let factor loadings and variances vary over clusters, so that every cluster has a
# covariance matrix of its own, and small clusters borrow from the others. Clusters can be groups,
# or persons with many occasions each.
#
# ## Data
#
# 60 clusters of 20, three items, simulated so that each cluster's true covariance matrix is known.
# Standard deviations vary on a log scale, so that they stay positive.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayes_msem as bm

rng = np.random.default_rng(2)
clusters, rows = 60, 20
ITEMS = ["y1", "y2", "y3"]
loadings = np.column_stack([np.ones(clusters), rng.normal([0.9, 1.1], 0.25, (clusters, 2))])
factor_sd = np.exp(rng.normal(0.0, 0.35, clusters))
residual_sd = np.exp(rng.normal(np.log(0.7), 0.3, (clusters, 3)))
intercepts = rng.normal(0.0, 0.4, (clusters, 3))

cluster = np.repeat(np.arange(clusters), rows)
factor = factor_sd[cluster] * rng.standard_normal(len(cluster))
noise = residual_sd[cluster] * rng.standard_normal((len(cluster), 3))
y = intercepts[cluster] + loadings[cluster] * factor[:, None] + noise
data = pd.DataFrame(y, columns=ITEMS).assign(cluster=cluster)

common = loadings * factor_sd[:, None]
true = common[:, :, None] * common[:, None, :] + residual_sd[:, :, None] ** 2 * np.eye(3)

# %% [markdown]
# ## The model
#
# `rv("l2")` says that a loading varies over clusters and is called `l2` at level between, where it
# has a mean and a variance. At a variance `rv()` names the log standard deviation ([random
# coefficients](../../docs/random.md)). The effects are independent here
# (`random_covariances="none"`): 60 clusters say little about the 15 correlations of 6 effects.

# %%
model = bm.Model(
    """
    level: within
        f =~ y1 + rv("l2")*y2 + rv("l3")*y3
        f ~~ rv("vf")*f
        y1 ~~ rv("v1")*y1
        y2 ~~ rv("v2")*y2
        y3 ~~ rv("v3")*y3
    level: between
        y1 ~~ y1
        y2 ~~ y2
        y3 ~~ y3
    """,
    data=data,
    cluster="cluster",
    random_covariances="none",
)
print(model.plan)

# %%
fit = model.fit(random_seed=1)
print(fit)
between = fit.summary().query("level == 'between'")
effects = ["l2", "l3", "vf", "v1", "v2", "v3"]
table = between[between["lhs"].isin(effects)].set_index(["lhs", "op", "rhs"])
means = [0.9, 1.1, 0.0, *[np.log(0.7)] * 3]
sds = [0.25, 0.25, 0.35, 0.3, 0.3, 0.3]
known = {(e, "~", "1"): m for e, m in zip(effects, means, strict=True)}
known |= {(e, "~~", e): s**2 for e, s in zip(effects, sds, strict=True)}
table = table.loc[list(known), ["mean", "median", "lower", "upper"]]
table.insert(0, "truth", list(known.values()))
print(table.round(3).to_string())

# %% [markdown]
# ## One cluster
#
# Its effects, its standardised solution, its covariance matrix, each with a posterior:

# %%
print(fit.cluster_effects().query("cluster == 0").head(9))
print()
print(fit.standardized(cluster_id=0).query("level == 'within'"))

# %%
implied = fit.implied_covariance("within", cluster_id=0).mean(("chain", "draw")).to_numpy()
print("posterior mean\n", implied.round(2))
print("covariances of its own 20 rows\n", np.cov(data.loc[data["cluster"] == 0, ITEMS].T).round(2))
print("truth\n", true[0].round(2))

# %%
# Log SD of the factor in every cluster, sorted, with 50% and 95% intervals
fit.plot_clusters("vf")

# %% [markdown]
# ## Is it worth it?
#
# Three estimates of each cluster's covariance matrix, against the truth: one matrix for all
# clusters; each cluster's own sample covariances; the model, which weighs the two by what each
# cluster's rows say.

# %%
own = np.array([np.cov(group[ITEMS].T) for _, group in data.groupby("cluster")])
pooled = np.broadcast_to(bm.describe(data, "cluster", ITEMS).within.to_numpy(), own.shape)
modelled = np.array(
    [
        fit.implied_covariance("within", cluster_id=j).mean(("chain", "draw")).to_numpy()
        for j in range(clusters)
    ]
)
lower = np.tril_indices(3)
errors = {
    name: np.sqrt(np.mean((estimate - true)[:, *lower] ** 2))
    for name, estimate in {"one for all": pooled, "each its own": own, "model": modelled}.items()
}
for name, error in errors.items():
    print(f"{name:14s} root mean squared error {error:.3f}")

# %% tags=["thumbnail"]
# Covariance of y1 and y3 in each cluster, estimate over truth: own rows (left), model (right)
figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained")
for axis, (name, estimate) in zip(axes, {"own rows": own, "model": modelled}.items(), strict=True):
    axis.axline((0, 0), slope=1, color="grey", linewidth=1)
    axis.plot(true[:, 0, 2], estimate[:, 0, 2], "o", alpha=0.7)
    axis.set(title=name, xlabel="true covariance of y1 and y3")
axes[0].set_ylabel("estimate")
figure

# %% [markdown]
# The same with two factors whose correlation varies as well: `examples/random_covariance.py`
# ([output](../../docs/examples.md)).
#
# ## References
#
# Ansari, A., & Jedidi, K. (2000). Bayesian factor analysis for multilevel binary observations.
# *Psychometrika, 65*(4), 475-496. <https://doi.org/10.1007/BF02296339>
#
# Ansari, A., Jedidi, K., & Dube, L. (2002). Heterogeneous factor analysis models: A Bayesian
# approach. *Psychometrika, 67*(1), 49-77. <https://doi.org/10.1007/BF02294709>
