"""Words of other programs: what an argument of lavaan, blavaan, Mplus, brms or PyMC is called here.

One table, :data:`WORDS`. A word is looked up in lower case with ``.`` and ``-`` read as ``_``, so
``std.lv``, ``STD_LV`` and ``std_lv`` are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bayes_msem.errors import nearest

__all__ = ["WORDS", "Word", "unknown_word"]

_FIT, _MODEL = "model.fit()", "bm.Model()"


@dataclass(frozen=True, slots=True)
class Word:
    """What a word of another program is here.

    Attributes
    ----------
    here
        The argument, or empty if there is none.
    of
        Function it belongs to, if not the one that was called.
    says
        What to know besides, as a sentence; where ``here`` is empty, what is there instead.
    """

    here: str = ""
    of: str = ""
    says: str = ""


_GROUPS_SAY = "It names a column of the data."
_LABELS = Word(says="Groups are named by the values of the column that group= names.")
_FAMILIES = Word(
    "families",
    _MODEL,
    "It maps outcomes to families with their links, such as {'y': 'ordinal(logit)'}.",
)
_THETA = Word(
    says="Residual variances of latent responses are fixed (theta parameterisation): delta cannot "
    "hold where loadings vary over clusters."
)
_NO_WEIGHTS = Word(says="There are no sampling weights; docs/weights.md says what to do instead.")
_BAYES = Word(
    says="Estimation is Bayesian: model.fit() samples the posterior. "
    "Maximum likelihood estimates are in model.mode(prior=False)."
)
_CONDITIONAL = Word(
    says="Covariates are always conditioned on. A predictor that the model text gives a variance, "
    "as in 'x ~~ x', is modelled."
)
_RAW_DATA = Word("data", _MODEL, "Models are built from rows of data, not from their moments.")
_MEANS = Word(says="Intercepts and means are always part of the model; 'y ~ 0*1' removes one.")
_DEFAULTS = Word(says="Defaults are written in the parameter table; the model text overrides them.")
_NOT_THINNED = Word(says="Chains are not thinned: all draws are kept.")
_STARTS = Word(says="Starting values stand in the model text, as in 'f =~ y1 + start(0.8)*y2'.")
_SAMPLER = Word("sampler", _FIT, "Options of a sampler are arguments of model.fit() themselves.")
_INDICES = Word(says="It is a method of the fit: fit.indices().")

WORDS: dict[str, Word] = {
    # what there is not yet
    **dict.fromkeys(("groups", "group_by"), Word("group", _MODEL, _GROUPS_SAY)),
    **dict.fromkeys(("group", "group_equal", "group_partial", "wiggle_sd"), Word(of=_MODEL)),
    "group_label": _LABELS,
    "group_w_free": Word(says="Sizes of groups are given, not modelled."),
    **dict.fromkeys(("sampling_weights", "weights", "weight", "wt", "bweight"), _NO_WEIGHTS),
    "constraints": Word(says="Constraints stand in the model text, as in 'b1 == 2*b2'."),
    "bounds": Word(says="There are no bounds; give a prior with the support that is wanted."),
    "bootstrap": Word(says="There is no bootstrap: fit.summary() has intervals of the posterior."),
    "robust": _BAYES,
    # of a model
    **dict.fromkeys(("ordered", "families", "exposure"), Word(of=_MODEL)),
    **dict.fromkeys(("ordinal", "categorical"), Word("ordered", _MODEL)),
    **dict.fromkeys(("family", "link", "distribution"), _FAMILIES),
    **dict.fromkeys(("parameterization", "parameterisation"), _THETA),
    "offset": Word("exposure", _MODEL, "It names the column of the exposure, not its logarithm."),
    **dict.fromkeys(("model_syntax", "syntax", "formula", "text"), Word("spec", _MODEL)),
    "model": Word("spec", _MODEL),
    **dict.fromkeys(("df", "dataframe", "frame", "dat"), Word("data", _MODEL)),
    **dict.fromkeys(
        ("sample_cov", "sample_mean", "sample_nobs", "sample_cov_rescale"), _RAW_DATA
    ),
    **dict.fromkeys(("clusters_by", "cluster_id", "id", "group_id"), Word("cluster", _MODEL)),
    **dict.fromkeys(("dp", "prior", "priors_list", "dpriors"), Word("priors", _MODEL)),
    **dict.fromkeys(("std_lv", "stdlv", "lv_std"), Word("std_lv", _MODEL)),
    "auto_fix_first": Word("std_lv", _MODEL, "std_lv=True fixes variances in place of loadings."),
    "std_ov": Word(says="Data are taken in their own units; fit.standardized() standardises."),
    "orthogonal": Word(
        "random_covariances",
        _MODEL,
        "random_covariances='none' makes random effects independent. Factors are where the model "
        "text says 'f1 ~~ 0*f2'.",
    ),
    **dict.fromkeys(("na_action", "na_rm", "listwise", "fiml"), Word("missing", _MODEL)),
    **dict.fromkeys(("fixed_x", "conditional_x"), _CONDITIONAL),
    **dict.fromkeys(("meanstructure", "int_ov_free", "int_lv_free", "intercepts"), _MEANS),
    **dict.fromkeys(("auto_var", "auto_cov_lv_x", "auto_cov_y", "auto_fix_single"), _DEFAULTS),
    **dict.fromkeys(("random_effects", "random_slopes"), Word("random", _MODEL)),
    **dict.fromkeys(("noncentered", "noncentred", "centered", "cp"), Word("centring", _MODEL)),
    # of estimation
    **dict.fromkeys(("estimator", "se", "test", "information", "likelihood", "reml"), _BAYES),
    **dict.fromkeys(("seed", "random_state", "rng", "bseed"), Word("random_seed", _FIT)),
    **dict.fromkeys(
        ("iter", "sample", "samples", "num_samples", "n_samples", "iter_sampling", "n_iter"),
        Word("draws", _FIT, "Draws are those of one chain, after tuning."),
    ),
    **dict.fromkeys(
        ("iterations", "biterations", "fbiterations", "niter", "n_draws", "ndraws", "nsim"),
        Word("draws", _FIT, "Draws are those of one chain, after tuning."),
    ),
    **dict.fromkeys(
        ("burnin", "burn_in", "n_burnin", "burn", "warmup", "num_warmup", "iter_warmup"),
        Word("tune", _FIT),
    ),
    **dict.fromkeys(("n_tune", "tuning", "adapt", "n_adapt"), Word("tune", _FIT)),
    **dict.fromkeys(("n_chains", "nchains", "num_chains", "chain"), Word("chains", _FIT)),
    **dict.fromkeys(
        ("n_cores", "ncores", "n_jobs", "njobs", "ncpus", "parallel_chains", "processors"),
        Word("cores", _FIT),
    ),
    **dict.fromkeys(("thin", "thinning"), _NOT_THINNED),
    **dict.fromkeys(("adapt_delta", "delta", "target_acceptance"), Word("target_accept", _FIT)),
    **dict.fromkeys(
        ("maxdepth", "max_treedepth", "max_tree_depth"),
        Word(says="It is maxdepth=10 with nutpie, nuts={'max_treedepth': 10} with PyMC's sampler."),
    ),
    **dict.fromkeys(("inits", "init", "initvals", "start", "init_mean"), _STARTS),
    **dict.fromkeys(("target", "nuts_sampler", "backend", "algorithm", "method"), _SAMPLER),
    **dict.fromkeys(("bcontrol", "control", "mcmcextra", "nuts_sampler_kwargs"), _SAMPLER),
    **dict.fromkeys(
        ("progressbar", "progress_bar", "verbose", "quiet", "show_progress"), Word("progress", _FIT)
    ),
    "convergence": Word(says="Convergence is checked after sampling: fit.convergence."),
    "prisamp": Word(says="Draws from the prior are made by model.prior_predictive()."),
    **dict.fromkeys(
        ("save_lvs", "save_lv"),
        Word(says="Factor scores and effects are there without asking: fit.scores()."),
    ),
    "wiggle": Word(of=_MODEL, says="It makes parameters of groups nearly equal."),
    # of results
    **dict.fromkeys(
        ("prob", "probs", "ci_prob", "hdi_prob", "credible_interval", "conf_level", "mass"),
        Word("ci"),
    ),
    "alpha": Word("ci", says="It is the mass of the interval: 0.95, not 0.05."),
    **dict.fromkeys(("interval", "ci_type", "interval_kind", "hdi"), Word("ci_kind")),
    **dict.fromkeys(("var_names", "pars", "params", "parameters", "variables_shown"), Word("rows")),
    "standardized": Word(
        says="It is fit.standardized(), or fit.summary(standardized=True) beside the estimates."
    ),
    "rsquare": Word(says="It is fit.r2(), or below the estimates fit.summary(standardized=True)."),
    "fit_measures": _INDICES,
    **dict.fromkeys(("new_data", "x_new", "new"), Word("newdata")),
    **dict.fromkeys(("file", "filename", "fname", "file_path"), Word("path")),
    **dict.fromkeys(("figure_size", "size"), Word("figsize")),
    **dict.fromkeys(("ic", "criterion"), Word(says="fit.loo(), fit.waic() and fit.dic() differ.")),
    # our own, in the wrong place
    **dict.fromkeys(("draws", "tune", "chains", "cores", "random_seed"), Word(of=_FIT)),
    **dict.fromkeys(("sampler", "target_accept", "progress"), Word(of=_FIT)),
    **dict.fromkeys(("spec", "data", "cluster", "priors", "missing", "random"), Word(of=_MODEL)),
    "centring": Word(of=_MODEL),
}  # fmt: skip


def unknown_word(function: str, word: str, known: Sequence[str]) -> str:
    """Say what a word that a function does not know is called here.

    Parameters
    ----------
    function
        Name of the function, as in messages.
    word
        What was given.
    known
        Arguments of the function.

    Examples
    --------
    >>> unknown_word("Model.fit()", "burnin", ["draws", "tune", "chains"])
    "Model.fit() has no argument 'burnin'; here it is tune=."
    """
    plain = word.strip().lower().replace(".", "_").replace("-", "_")
    return f"{function} has no argument {word!r}{_meaning(plain, known)}"


def _meaning(plain: str, known: Sequence[str]) -> str:
    if plain in known:
        return f"; here it is {plain}=."
    found = WORDS.get(plain)
    if found is None:
        arguments = f"Its arguments are {', '.join(known)}." if known else "It takes none."
        return f"{nearest(plain, known) or '.'} {arguments}"
    here, says = found.here or (plain if found.of else ""), found.says and f" {found.says}"
    if not here:
        return f".{says}"
    if here in known:
        return f"; here it is {here}=.{says}"
    if found.of:
        return f"; here it is {here}=, an argument of {found.of}.{says}"
    return f"; where it has a meaning here it is {here}=.{says}"
