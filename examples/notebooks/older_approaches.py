# %% [markdown]
# # What the older methods would have said
#
# Before two-level structural equation models could be fitted, people took the data apart: they
# analysed rows and ignored clusters, analysed cluster means and ignored rows, or did one step after
# the other. Each method answers a question that is close to the one asked. This page puts them side
# by side on one data set whose truth is known.
#
# The methods stand in `examples/notebooks/older_methods.py`, a few lines of NumPy each, and next to
# them the values they tend to with many clusters. Tests compare these formulas with the methods in
# large samples.

# %%
import matplotlib.pyplot as plt
import numpy as np
import older_methods as older
import pandas as pd

import bayes_msem as bm

truth = older.Truth()
data = older.simulate(truth, clusters=500, seed=1)
y, x = data["y"].to_numpy(), data["x"].to_numpy()
expected = older.expected(truth)
bm.describe(data, "cluster", ["x", "y", "i1", "i2", "i3"])

# %% [markdown]
# `y` depends on `x` with another slope between clusters than within, and on `z`, a design variable
# whose slope differs between clusters. The items `i1` to `i3` measure a factor at each level, with
# other loadings between than within. The clusters are small, 4 to 8 rows, as classes in a sample or
# families are.
#
# ## The full model
#
# Once with all of this in it. First the regression:

# %%
regression = bm.Model(
    """
    level: within
        y ~ bw*x + rv("s")*z
    level: between
        y ~ bb*x
        s ~ 1
    """,
    data=data,
    cluster="cluster",
)
slopes = regression.fit(random_seed=1)
print(slopes)
slopes.summary()

# %% [markdown]
# ... then the factors:

# %%
factors = bm.Model(
    """
    level: within
        fw =~ i1 + i2 + i3
    level: between
        fb =~ i1 + l2*i2 + l3*i3
    """,
    data=data,
    cluster="cluster",
)
loadings = factors.fit(random_seed=1)
print(loadings)
loadings.summary()

# %% [markdown]
# ## Regressions
#
# **Disaggregation** is one regression over all rows. Its slope mixes the levels, and its standard
# errors take 3,000 rows for 3,000 independent ones.
#
# **Aggregation** is one regression over cluster means. A mean of $n$ rows has the variance
# $\sigma^2_b + \sigma^2_w / n$, so its slope mixes the levels, too, the less the larger the
# clusters.
#
# **Observed-mean centring** has both slopes in one equation, but uses the same means (Lüdtke et
# al., 2008).
#
# **Two-step** methods estimate the cluster means first, shrink them as empirical Bayes does, and
# put them into a regression as if they had been observed (Griffin, 1997). Shrinking the predictor
# corrects; shrinking the outcome as well attenuates again, and what within-cluster slopes do to the
# means stays in (Croon & van Veldhoven, 2007, therefore adjust means in another way).
#
# **Two-stage slopes as outcomes** fit a regression in each cluster and analyse the slopes (Chou,
# Bentler & Pentz, 2000). Their mean is right. Their variance holds the sampling error of each
# slope.

# %%
results = {
    ("disaggregation", "slope within"): older.least_squares_slope(y, x),
    ("disaggregation", "slope between"): older.least_squares_slope(y, x),
    ("aggregation", "slope between"): older.aggregated_slope(data),
    ("observed-mean centring", "slope within"): older.observed_mean_centring(data)[0],
    ("observed-mean centring", "slope between"): older.observed_mean_centring(data)[1],
    ("two-step", "slope between"): older.two_step_slope(data),
    ("two-stage", "slope variance"): older.two_stage_slopes(data)[1],
    ("full model", "slope within"): float(slopes.draws["bw"].mean()),
    ("full model", "slope between"): float(slopes.draws["bb"].mean()),
    ("full model", "slope variance"): float(slopes.draws["s ~~ s"].mean()),
}
true_values = {
    "slope within": truth.within,
    "slope between": truth.between,
    "slope variance": truth.slope_variance,
}


def table(results, true_values):
    """Methods beside the truth: what they tend to, by how much they miss, what they give here."""
    rows = []
    for quantity, true in true_values.items():
        for method, found in results.items():
            if method[1] == quantity:
                tends = expected.get(method, true)
                bias = f"{(tends - true) / true:+.0%}"
                rows.append([quantity, method[0], true, tends, bias, found])
    names = ["quantity", "method", "truth", "tends to", "bias", "here"]
    return pd.DataFrame(rows, columns=names).round(3).to_string(index=False)


print(table(results, true_values))

# %% [markdown]
# `tends to` is the value with many clusters; for the full model, that is the truth. `here` is the
# estimate from this data set, sampling error included.
#
# The standard error of a mean over rows, as disaggregation has it, beside the one that knows of
# clusters (the design effect of `describe()`) and beside the truth:

# %%
about = bm.describe(data, "cluster", ["i1"])
naive = older.standard_error_ignoring_clusters(data["i1"].to_numpy())
sizes = data.groupby("cluster").size()
true_variance = truth.items_between[0, 0] * (sizes**2).sum() / len(data) ** 2
true_variance += truth.items_within[0, 0] / len(data)
corrected = naive * about.variables.loc["i1", "design_effect"] ** 0.5
right = true_variance**0.5
print(f"standard error of the mean of i1: {naive:.4f} ignoring clusters, {corrected:.4f} with the")
print(f"design effect, true {right:.4f}. Ignoring clusters: too small by {1 - naive / right:.0%}")

# %% [markdown]
# ## Covariance matrices
#
# With three indicators a factor model reproduces any covariance matrix (nearly), so its loadings
# can be read off: $\lambda_3 / \lambda_1 = s_{23} / s_{12}$. We can see what each matrix says
# without fitting anything.
#
# **Schmidt (1969)** analysed $S_W$ and $S_B$ apart. $S_W$ is right. But $E(S_B) = \Sigma_w + n^*
# \Sigma_b$: what looks like level between is a mixture.
#
# **Cronbach (1976) and Härnqvist (1978)** scale the sums of squares of both levels by the *total*
# standard deviations, so that the two matrices add up to the total correlations. That is neat, but
# the between matrix is still that of observed means: its diagonal is $\eta^2$ and no intraclass
# correlation.
#
# **MUML** (Muthén, 1994) uses $E(S_B - S_W) / n^* = \Sigma_b$. With a free $\Sigma_b$ that is the
# method of moments: right on average in clusters of any size. Its test statistic and standard
# errors are right in clusters of equal size only (Hox & Maas, 2001), and the matrix may have
# negative variances.
#
# **Equal loadings** at both levels (Raudenbush, 1995) made the model easy to estimate. Where
# loadings differ, the many contrasts inside of clusters decide what they are.

# %%
parts = bm.describe(data, "cluster", older.ITEMS, scaling="cronbach-harnqvist")
within_part, between_part = parts.within.to_numpy(), parts.between.to_numpy()
totals = np.corrcoef(data[older.ITEMS].T)
print("Cronbach-Härnqvist: within below the diagonal, between above")
joint = np.tril(within_part, -1) + np.triu(between_part, 1) + np.eye(3)
print(pd.DataFrame(joint, older.ITEMS, older.ITEMS).round(3))
print("eta^2, the diagonal of the between part:", np.diag(between_part).round(3))
largest = np.abs(within_part + between_part - totals).max()
print(f"largest difference between their sum and the total correlations: {largest:.0e}")

# %%
equal = bm.Model(
    """
    level: within
        fw =~ i1 + l2*i2 + l3*i3
    level: between
        fb =~ i1 + l2*i2 + l3*i3
    """,
    data=data,
    cluster="cluster",
).mode(prior=False)

_, s_b, n_star = older.scatter(data, older.ITEMS)
total_variance = np.diag(np.cov(data[older.ITEMS].T))[0]
matrices = {
    "disaggregation": np.cov(data[older.ITEMS].T),
    "aggregation": older.between_of_means(data, older.ITEMS),
    "S_B apart": s_b / n_star,
    "MUML": older.muml(data, older.ITEMS),
    "full model": loadings.implied_covariance("between").mean(("chain", "draw")).to_numpy(),
}
measured = {}
for method, matrix in matrices.items():
    sd = np.sqrt(np.diag(matrix))
    measured[method, "loading of item 3"] = older.one_factor(matrix)[2]
    measured[method, "correlation of items 1 and 2"] = matrix[0, 1] / (sd[0] * sd[1])
    if method != "disaggregation":
        measured[method, "share between of item 1"] = matrix[0, 0] / total_variance
measured["equal loadings", "loading of item 3"] = equal["l3"]
measured["Cronbach-Härnqvist", "share between of item 1"] = between_part[0, 0]

of_items = truth.items_between
known_correlation = of_items[0, 1] / (of_items[0, 0] * of_items[1, 1]) ** 0.5
known_share = of_items[0, 0] / (of_items + truth.items_within)[0, 0]
known = {
    "loading of item 3": older.one_factor(of_items)[2],
    "correlation of items 1 and 2": known_correlation,
    "share between of item 1": known_share,
}
print(table(measured, known))

# %% [markdown]
# Correlations between clusters are attenuated: residuals within clusters end up in the variances of
# means, as unreliability does in any correlation. The share of variance between clusters doubles
# for the same reason.
#
# Variances between clusters come out too small in this data set. MUML and the full model are
# off in the same direction, since both see the same 500 clusters; the posterior says by how
# much it may be off, and 95% intervals miss the truth in one of twenty cases:

# %%
correlations = loadings.implied_covariance("between", correlation=True)
draws = correlations.sel(outcome="i1", outcome_2="i2").to_numpy()
low, high = np.quantile(draws, [0.025, 0.975])
print(f"correlation of items 1 and 2: {draws.mean():.2f}, 95% interval {low:.2f} to {high:.2f}")
share = loadings.icc().query("variable == 'i1'").iloc[0]
print(
    f"share between of item 1: {share['mean']:.3f}, 95% interval {share['lower']:.3f} "
    f"to {share['upper']:.3f}"
)
print(f"true values: {known_correlation:.2f} and {known_share:.3f}")

# %% tags=["thumbnail"]
# Estimates of each method (dots), what they tend to (bars), and the truth (line)
quantities = ["slope between", "slope variance", "correlation of items 1 and 2"]
everything = results | measured
known = true_values | known
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for axis, quantity in zip(axes, quantities, strict=True):
    methods = [method for method, of in everything if of == quantity]
    tends = [expected.get((method, quantity), known[quantity]) for method in methods]
    axis.barh(methods, tends, color="lightgrey", height=0.6)
    axis.plot([everything[m, quantity] for m in methods], methods, "o", color="tab:blue")
    axis.axvline(known[quantity], color="black", linewidth=1)
    axis.set_title(quantity)
    axis.set_xlim(left=0)
figure

# %% [markdown]
# ## In short
#
# | method | what it gets wrong | when it does little harm |
# |---|---|---|
# | disaggregation | one slope for two; standard errors too small | no variance between clusters |
# | aggregation | slopes and correlations between | large clusters, large intraclass correlations |
# | observed-mean centring | the slope between | as above; predictors formed by all members |
# | two-step | the slope between; uncertainty of the first step is lost | as above |
# | two-stage slopes | the variance of slopes | many rows in each cluster |
# | $S_B$ apart | all of level between | as for aggregation |
# | Cronbach-Härnqvist | shares and correlations between | as for aggregation; fine to describe |
# | MUML | tests and standard errors | clusters of equal size, many of them |
# | equal loadings | loadings and variances of level between | loadings *are* equal |
# | full model | with few clusters, priors matter | [few clusters](small_clusters.md) |
#
# ## References
#
# Chou, C.-P., Bentler, P. M., & Pentz, M. A. (2000). A two-stage approach to multilevel structural
# equation models: Application to longitudinal data. In T. D. Little, K. U. Schnabel, & J. Baumert
# (Eds.), *Modeling longitudinal and multilevel data* (pp. 33-49). Erlbaum.
#
# Cronbach, L. J. (1976). *Research on classrooms and schools: Formulation of questions, design and
# analysis* (ED135801). ERIC. <https://eric.ed.gov/?id=ED135801>
#
# Croon, M. A., & van Veldhoven, M. J. P. M. (2007). Predicting group-level outcome variables from
# variables measured at the individual level: A latent variable multilevel model. *Psychological
# Methods, 12*(1), 45-57. <https://doi.org/10.1037/1082-989X.12.1.45>
#
# Griffin, M. A. (1997). Interaction between individuals and situations: Using HLM procedures to
# estimate reciprocal relationships. *Journal of Management, 23*(6), 759-773.
#
# Härnqvist, K. (1978). Primary mental abilities at collective and individual levels. *Journal of
# Educational Psychology, 70*(5), 706-716. <https://doi.org/10.1037/0022-0663.70.5.706>
#
# Hox, J. J., & Maas, C. J. M. (2001). The accuracy of multilevel structural equation modeling with
# pseudobalanced groups and small samples. *Structural Equation Modeling, 8*(2), 157-174.
# <https://doi.org/10.1207/S15328007SEM0802_1>
#
# Lüdtke, O., Marsh, H. W., Robitzsch, A., Trautwein, U., Asparouhov, T., & Muthén, B. (2008). The
# multilevel latent covariate model: A new, more reliable approach to group-level effects in
# contextual studies. *Psychological Methods, 13*(3), 203-229. <https://doi.org/10.1037/a0012869>
#
# Muthén, B. O. (1994). Multilevel covariance structure analysis. *Sociological Methods & Research,
# 22*(3), 376-398. <https://doi.org/10.1177/0049124194022003006>
#
# Raudenbush, S. W. (1995). Maximum likelihood estimation for unbalanced multilevel covariance
# structure models via the EM algorithm. *British Journal of Mathematical and Statistical
# Psychology, 48*(2), 359-370.
#
# Schmidt, W. H. (1969). *Covariance structure analysis of the multivariate random effects model*
# (Doctoral dissertation). University of Chicago.
