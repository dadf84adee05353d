"""All checks at once, with a verdict in plain words."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pandas as pd

from bayes_msem.arguments import checked, integer
from bayes_msem.checking.accuracy.loo import LEAST_DRAWS as loo_draws
from bayes_msem.checking.findings import (
    data_findings,
    grouped,
    left_out,
    left_out_rotated,
    mode_findings,
    near_zero_findings,
    prediction_findings,
    prior_findings,
    sampling_findings,
    too_few_draws,
)
from bayes_msem.checking.misfit import cluster_findings, fit_findings
from bayes_msem.checking.predictive.p_values import p_values
from bayes_msem.checking.priors.prior_sensitivity import LEAST_DRAWS as sensitivity_draws
from bayes_msem.checking.verdict import Verdict
from bayes_msem.errors import AccuracyWarning
from bayes_msem.fit.accuracy import Accuracy
from bayes_msem.fit.checks import Checks
from bayes_msem.fit.prior_influence import Sensitivity

if TYPE_CHECKING:
    from bayes_msem.checking.findings import Finding


class Verdicts(Checks, Accuracy, Sensitivity):
    """The part of :class:`bayes_msem.Fit` that judges."""

    @checked(draws=integer(1))
    def check(
        self,
        *,
        draws: int | None = None,
        loo: bool = True,
        prior_sensitivity: bool = True,
        random_seed: int | None = None,
        priors: bool = True,
    ) -> Verdict:
        """Run all checks and say in plain words what they found and what to do next.

        Convergence, posterior predictive p-values per level, unusual clusters, Pareto k of
        leave-one-cluster-out (leave-one-row-out with one level), sensitivity to priors, few
        clusters, and variances that the data do not tell from zero. With outcomes that are not
        normal, parts that need normal ones are left out and named, and LOO leaves out rows.

        P-values are judged together, so that at most a tenth of right models has any finding of
        misfit (docs/checks.md). A small p-value in ``ppp`` need not be a finding.

        Parameters
        ----------
        draws
            Replicates of the posterior predictive check; None: 1,000, or all draws if there are
            fewer.
        loo, prior_sensitivity
            Whether to compute LOO and prior sensitivity. They need 25 and 50 draws; with fewer,
            a finding says that they were left out.
        random_seed
            Seed of the replicates; None: that of the fit.
        priors
            Older name of ``prior_sensitivity``.

        Returns
        -------
        Verdict
            Prints as a short report; ``findings`` and ``to_frame()`` have the parts, ``ppp``,
            ``loo`` and ``prior_sensitivity`` the results behind them.

        Examples
        --------
        >>> verdict = fit.check(draws=20, loo=False, prior_sensitivity=False)
        >>> verdict.findings[0].topic
        'sampling'
        """
        families = self.model.table.responses
        findings: list[Finding] = sampling_findings(self.convergence)
        findings += mode_findings(self.convergence)
        check = self.ppc(draws=draws, keep=0, random_seed=random_seed)
        table = p_values(check)
        if families:
            findings.append(left_out("fit", "The likelihood ratio of each level", tuple(families)))
        judged = pd.DataFrame(table)
        findings += fit_findings(judged) + cluster_findings(check.clusters, judged)
        accuracy = sensitivity = None
        posterior = self.datatree["posterior"]
        total = posterior.sizes["chain"] * posterior.sizes["draw"]
        if loo and total < loo_draws:
            findings.append(too_few_draws("prediction", "LOO", total, loo_draws))
        elif loo:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AccuracyWarning)  # a finding says the same
                # integrals over clusters' effects and rows' scores together take minutes
                accuracy = self.loo("observation" if families else None)
            findings += prediction_findings(
                accuracy.high_k, accuracy.elpd_data.n_data_points, accuracy.unit
            )
        sensitive = prior_sensitivity and priors
        exploratory = [b.name for b in self.model.table.blocks]
        if sensitive and exploratory:
            findings.append(left_out_rotated("priors", "Prior sensitivity", exploratory))
        elif sensitive and families:
            findings.append(left_out("priors", "Prior sensitivity", tuple(families)))
        elif sensitive and total < sensitivity_draws:
            findings.append(too_few_draws("priors", "Prior sensitivity", total, sensitivity_draws))
        elif sensitive:
            sensitivity = self.prior_sensitivity()
            findings += prior_findings(sensitivity.advice)
        findings += data_findings(self.model.notes)
        between = [
            (row, self.draws[row.key])
            for row in self.model.table.rows
            if row.level == "between" and row.kind == "variance" and row.free
        ]
        findings += near_zero_findings(between)
        found = tuple(grouped(findings))
        return Verdict(found, table, accuracy, sensitivity, self.convergence.grade)
