# %% [markdown]
# # Contextual effects and conflation
#
# Members of a team who have more autonomy are more engaged. Are *teams* with more autonomy more
# engaged, and by how much more than their members' own autonomy explains? There are three slopes to
# keep apart:
#
# - **within**: two members of one team who differ by one point of autonomy differ so much in
#   engagement;
# - **between**: two teams whose true means of autonomy differ by one point differ so much in their
#   means of engagement;
# - **contextual**: between minus within. Two members with the *same* autonomy, in teams that differ
#   by one point, differ so much.
#
# The data (90 teams, shipped with the package) were simulated, so the truth is known, and we can
# see what common analyses make of it.

# %%
import numpy as np
import pandas as pd

import bayes_msem as bm
from bayes_msem.datasets import describe_dataset

data = bm.load_dataset("team_performance")
truth = describe_dataset("team_performance").true_values
true_within = truth["within", "engagement", "~", "autonomy"]
true_between = truth["between", "engagement", "~", "autonomy"]
print(f"true slopes: within {true_within}, between {true_between},", end=" ")
print(f"contextual effect {true_between - true_within:.1f}")
bm.describe(data, "team", ["autonomy", "engagement"])

# %% [markdown]
# ## One slope for everything
#
# Ordinary least squares over all members, as if there were no teams ("disaggregation"). Its slope
# is not the slope of anybody. It is a mixture of the slope inside teams and that of team means,
# weighted by the share of the variance of autonomy that lies between teams, $\eta^2$ (Robinson,
# 1950; Raudenbush & Bryk, 2002):
#
# $$
# b_{\text{total}} = (1 - \eta^2)\, b_{\text{inside}} + \eta^2\, b_{\text{means}} .
# $$
#
# This is an identity, so we can check it to the last digit:

# %%
x, y = data["autonomy"], data["engagement"]
x_mean = data.groupby("team")["autonomy"].transform("mean")
y_mean = data.groupby("team")["engagement"].transform("mean")


def slope(outcome, predictor):
    """Slope of least squares."""
    return np.cov(outcome, predictor)[0, 1] / np.var(predictor, ddof=1)


total, inside, means = slope(y, x), slope(y - y_mean, x - x_mean), slope(y_mean, x_mean)
eta2 = x_mean.var() / x.var()
print(f"total slope {total:.4f}")
print(f"inside teams {inside:.4f}, of team means {means:.4f}, eta^2 {eta2:.4f}")
print(f"(1 - eta^2) {inside:.4f} + eta^2 {means:.4f} = {(1 - eta2) * inside + eta2 * means:.4f}")

# %% [markdown]
# ## A random intercept does not help
#
# A multilevel regression with autonomy as it is makes another mixture of the same two slopes.
# `print(model)` would say so in its notes:

# %%
blended = bm.Model(
    """
    level: within
        engagement ~ b*autonomy
    level: between
        engagement ~~ engagement
    """,
    data=data,
    cluster="team",
)
print(*blended.notes, sep="\n")
blend = blended.fit(random_seed=1, chains=2)
print(f"posterior mean of the slope: {blend.draws['b'].mean():.3f}")

# %% [markdown]
# ## Observed team means
#
# Subtracting the team mean from autonomy, and using that mean as a predictor of level between,
# gives two slopes. The one within is right. The one between is not: the mean of 3 to 12 members is
# not the mean of the team. It carries the sampling error of its members, and pulls the slope
# towards the slope within (Lüdtke et al., 2008). With teams of equal size $n$,
#
# $$
# b_{\text{means}} = \lambda\, b_{\text{between}} + (1 - \lambda)\, b_{\text{within}}, \qquad
# \lambda = \frac{\sigma^2_b}{\sigma^2_b + \sigma^2_w / n} .
# $$

# %%
centred = data.assign(own=x - x_mean, mean=x_mean)
observed = bm.Model(
    """
    level: within
        engagement ~ bw*own
    level: between
        engagement ~ bb*mean
    contextual := bb - bw
    """,
    data=centred,
    cluster="team",
)
manifest = observed.fit(random_seed=1, chains=2)

var_within = truth["within", "autonomy", "~~", "autonomy"]
var_between = truth["between", "autonomy", "~~", "autonomy"]
size = 1 / (1 / data.groupby("team").size()).mean()
reliability = var_between / (var_between + var_within / size)
expected = reliability * true_between + (1 - reliability) * true_within
print(f"reliability of a mean of {size:.1f} members: {reliability:.2f}")
print(f"slope between to expect on average: {expected:.2f}")
manifest.summary()

# %% [markdown]
# ## Latent team means
#
# Here autonomy stands at both levels, without being centred by hand. It is split into a latent part
# of the team and a latent part of the member, and every slope belongs to one level:

# %%
split = bm.Model(
    """
    level: within
        engagement ~ bw*autonomy
    level: between
        engagement ~ bb*autonomy
    contextual := bb - bw
    """,
    data=data,
    cluster="team",
)
fit = split.fit(random_seed=1)
print(fit)
fit.summary()

# %% [markdown]
# The interval of the slope between is wider than with observed means: that is what not knowing the
# means of teams costs.

# %%
blended_slope = float(blend.draws["b"].mean())
rows = {
    "truth": [true_within, true_between],
    "one slope (OLS)": [total, total],
    "random intercept": [blended_slope, blended_slope],
    "observed means": [manifest.draws["bw"].mean(), manifest.draws["bb"].mean()],
    "latent means": [fit.draws["bw"].mean(), fit.draws["bb"].mean()],
}
table = pd.DataFrame(rows, index=["within", "between"]).T
print(table.assign(contextual=table["between"] - table["within"]).astype(float).round(3))

# %% [markdown]
# One data set can be lucky, for any method. So we simulate 200 more from the same truth and average
# the slopes of observed and of latent means, the latter by the method of moments (`describe()`),
# which needs no fit:

# %%
from bayes_msem.datasets.simulate_team_performance import simulate_team_performance

slopes = []
for seed in range(200):
    new = simulate_team_performance(seed)
    of_teams = new.groupby("team")[["autonomy", "engagement"]].mean()
    sigma_b = bm.describe(new, "team", ["autonomy", "engagement"]).sigma_between
    slopes.append(
        (
            slope(of_teams["engagement"], of_teams["autonomy"]),
            sigma_b.loc["autonomy", "engagement"] / sigma_b.loc["autonomy", "autonomy"],
        )
    )
averages, errors = np.mean(slopes, axis=0), np.std(slopes, axis=0) / np.sqrt(len(slopes))
print("Averages, with Monte Carlo errors")
print(f"observed means: {averages[0]:.3f} ({errors[0]:.3f}), expected {expected:.3f}")
print(f"latent means:   {averages[1]:.3f} ({errors[1]:.3f}), truth {true_between:.3f}")

# %% tags=["thumbnail"]
# The slopes of both levels with 95% bands, and the team means
fit.plot_levels("autonomy", "engagement")

# %% [markdown]
# ## Is there a contextual effect?
#
# Not a test of zero, but the probability that the between slope is the larger one:

# %%
fit.hypothesis("bb > bw")

# %% [markdown]
# ## What to take along
#
# - A slope over all rows, with or without a random intercept, mixes two effects. Which mixture
#   depends on the predictor's intraclass correlation and on the design, so two studies of the same
#   effects disagree.
# - Centring at observed means separates the levels, but biases the slope between, more so in small
#   clusters and with small intraclass correlations.
# - Write the predictor at both levels. If it is *formed* by its members (the share of women in a
#   team, all of whom are in the data), the observed mean is the mean, and belongs into the data as
#   a column of its own.
#
# ## References
#
# Lüdtke, O., Marsh, H. W., Robitzsch, A., Trautwein, U., Asparouhov, T., & Muthén, B. (2008). The
# multilevel latent covariate model: A new, more reliable approach to group-level effects in
# contextual studies. *Psychological Methods, 13*(3), 203-229. <https://doi.org/10.1037/a0012869>
#
# Preacher, K. J., Zyphur, M. J., & Zhang, Z. (2010). A general multilevel SEM framework for
# assessing multilevel mediation. *Psychological Methods, 15*(3), 209-233.
# <https://doi.org/10.1037/a0020141>
#
# Raudenbush, S. W., & Bryk, A. S. (2002). *Hierarchical linear models* (2nd ed.). Sage.
#
# Robinson, W. S. (1950). Ecological correlations and the behavior of individuals. *American
# Sociological Review, 15*(3), 351-357. <https://doi.org/10.2307/2087176>
