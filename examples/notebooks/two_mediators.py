# %% [markdown]
# # Two mediators at once, at both levels
#
# Pupils with higher self-esteem perform better. Because they think they have talent, or because
# they try harder? And is it the same for whole classrooms? Two mediators at once, each at two
# levels, so there are four specific indirect effects, two totals, and contrasts between all of
# them. The example follows one in talks of Kristopher Preacher (2009) with pupils of the Michigan
# Study of Adolescent Life Transitions (MSALT). The data here are *simulated* with the intraclass
# correlations of that example; the coefficients are made up, and equal at both levels when
# standardised (`examples/notebooks/msalt.py`).

# %%
import msalt

import bayes_msem as bm

data = msalt.simulate()
bm.describe(data, "classroom")

# %% [markdown]
# Self-esteem hardly differs between classrooms: 3% of its variance in the population. That makes
# level between hard, whatever the method.
#
# ## The model
#
# Every variable is written at both levels and thereby split, so nothing is conflated and nothing
# has to be centred (Preacher, Zyphur & Zhang, 2010). The mediators may covary beyond what
# self-esteem explains (Preacher & Hayes, 2008). Effects are defined from labels.

# %%
model = bm.Model(
    """
    level: within
        talent ~ a1w*gse
        effort ~ a2w*gse
        performance ~ b1w*talent + b2w*effort + cw*gse
        talent ~~ effort
    level: between
        talent ~ a1b*gse
        effort ~ a2b*gse
        performance ~ b1b*talent + b2b*effort + cb*gse
        talent ~~ effort
    talent_w := a1w*b1w
    effort_w := a2w*b2w
    indirect_w := talent_w + effort_w
    total_w := indirect_w + cw
    contrast_w := talent_w - effort_w
    talent_b := a1b*b1b
    effort_b := a2b*b2b
    indirect_b := talent_b + effort_b
    total_b := indirect_b + cb
    contrast_b := talent_b - effort_b
    between_minus_within := indirect_b - indirect_w
    """,
    data=data,
    cluster="classroom",
)
fit = model.fit(random_seed=1)
print(fit)

# %%
# Path diagram of both levels with posterior means
fit.diagram()

# %% [markdown]
# ## Effects beside the truth
#
# The true effects follow from the numbers the data were made with. Medians, as products of slopes
# are skewed:

# %%
true = {}
for level, mark in (("within", "w"), ("between", "b")):
    slope = {key: msalt.true_slope(level, *key) for key in msalt.PATHS}
    for mediator in ("talent", "effort"):
        true[f"{mediator}_{mark}"] = slope[mediator, "gse"] * slope["performance", mediator]
    true[f"indirect_{mark}"] = true[f"talent_{mark}"] + true[f"effort_{mark}"]
    true[f"total_{mark}"] = true[f"indirect_{mark}"] + slope["performance", "gse"]
    true[f"contrast_{mark}"] = true[f"talent_{mark}"] - true[f"effort_{mark}"]
true["between_minus_within"] = true["indirect_b"] - true["indirect_w"]

table = fit.summary().set_index("lhs").loc[list(true), ["median", "lower", "upper"]]
table.insert(0, "truth", list(true.values()))
table["inside"] = (table["lower"] <= table["truth"]) & (table["truth"] <= table["upper"])
print(table.round(3).to_string())

# %% [markdown]
# Within classrooms all effects are known well. Between, the intervals are wide: 120 classrooms, but
# hardly any variance of self-esteem to learn from.

# %% tags=["thumbnail"]
# Specific, total and contrast effects with 50% and 95% intervals, and the true values
fit.plot_forest("", reference=true, reference_label="truth")

# %% [markdown]
# `fit.effects()` lists paths without any definitions, with the contextual effect (between minus
# within):

# %%
fit.effects("gse", "performance")

# %% [markdown]
# ## Questions
#
# Is the effect by way of talent larger than the one by way of effort?

# %%
print(fit.hypothesis("talent_w > effort_w"))
print()
print(fit.hypothesis("talent_b > effort_b"))

# %% [markdown]
# ## What maximum likelihood says

# %%
maximum = model.mode(prior=False)
estimates = maximum.to_frame().query("level == 'between' and op == '~'")
print("               ML     se |  truth   median  lower  upper")
for _, row in estimates.iterrows():
    key = (row["lhs"], row["rhs"])
    if key in msalt.PATHS:
        mine = (
            fit.summary().query("level == 'between' and lhs == @key[0] and rhs == @key[1]").iloc[0]
        )
        name = f"{key[0][:6]}~{key[1]}"
        true_slope = msalt.true_slope("between", *key)
        print(
            f"{name:14s} {row['value']:5.2f}  {row['se']:5.2f} |  {true_slope:5.2f}"
            f"    {mine['median']:5.2f}  {mine['lower']:5.2f}  {mine['upper']:5.2f}"
        )
print(f"variance of gse between: ML {maximum['between: gse ~~ gse']:.4f}, truth {msalt.ICC['gse']}")

# %% [markdown]
# Which prior stands behind these intervals matters here, more than in most analyses. With wide
# priors of slopes, a variance of self-esteem close to zero is rewarded, since it lets slopes be
# large ([the study behind the priors](../../docs/prior_study.md)). The same model with the set
# "wide":

# %%
wide = bm.Model(model.spec, data=data, cluster="classroom", priors="wide").fit(random_seed=1)
for name, one in {"default": fit, "wide": wide}.items():
    icc = one.icc().query("variable == 'gse'").iloc[0]
    slope = one.summary().query("label == 'a1b'").iloc[0]
    print(
        f"{name:8s} ICC of gse {icc['median']:.4f} ({icc['lower']:.5f} to {icc['upper']:.4f}); "
        f"talent ~ gse {slope['median']:.2f} ({slope['lower']:.2f} to {slope['upper']:.2f})"
    )
true_slope = msalt.true_slope("between", "talent", "gse")
print(f"truth    ICC of gse {msalt.ICC['gse']}; talent ~ gse {true_slope:.2f}")

# %% [markdown]
# More on this under [few and small clusters](small_clusters.md).
#
# ## References
#
# Preacher, K. J., & Hayes, A. F. (2008). Asymptotic and resampling strategies for assessing and
# comparing indirect effects in multiple mediator models. *Behavior Research Methods, 40*(3),
# 879-891. <https://doi.org/10.3758/BRM.40.3.879>
#
# Preacher, K. J., Zhang, Z., & Zyphur, M. J. (2011). Alternative methods for assessing mediation in
# multilevel data: The advantages of multilevel SEM. *Structural Equation Modeling, 18*(2), 161-182.
# <https://doi.org/10.1080/10705511.2011.557329>
#
# Preacher, K. J., Zyphur, M. J., & Zhang, Z. (2010). A general multilevel SEM framework for
# assessing multilevel mediation. *Psychological Methods, 15*(3), 209-233.
# <https://doi.org/10.1037/a0020141>
