# Maximum likelihood by adaptive Gauss-Hermite quadrature: Rscript lme4.R writes lme4.json.
# Values hold at the estimates stored with them, which quadrature.py reads.
library(lme4)
library(jsonlite)

read <- function(name) read.csv(file.path("..", "data", paste0(name, ".csv")))
# both optimisers in turn, so that the estimates have many digits
control <- glmerControl(
  optimizer = c("bobyqa", "bobyqa"),
  optCtrl = list(rhobeg = 1e-3, rhoend = 1e-9, maxfun = 1e5),
  calc.derivs = TRUE
)

describe <- function(fit, nodes) {
  effects <- as.data.frame(VarCorr(fit))
  list(
    formula = deparse1(formula(fit)),
    family = family(fit)$family,
    link = family(fit)$link,
    nAGQ = nodes,
    n = nobs(fit),
    fixed = as.list(fixef(fit)),
    se = as.list(setNames(sqrt(diag(as.matrix(vcov(fit)))), names(fixef(fit)))),
    random_sd = as.list(attr(VarCorr(fit)$cluster, "stddev")),
    random_correlation = if (nrow(effects) > 1) attr(VarCorr(fit)$cluster, "correlation")[1, 2],
    logLik = as.numeric(logLik(fit)) # Poisson with nAGQ > 1: a constant is left out
  )
}

results <- list()
binary <- read("binary")
for (link in c("logit", "probit")) {
  for (nodes in c(1, 15, 25)) {
    fit <- glmer(y ~ x + w + (1 | cluster), binary, binomial(link), nAGQ = nodes, control = control)
    results[[paste("binary", link, nodes, sep = "_")]] <- describe(fit, nodes)
  }
}

fit <- glmer(y ~ x + (1 + x | cluster), read("binary_slope"), binomial, control = control)
results$binary_slope_1 <- describe(fit, 1)

for (nodes in c(1, 15, 25)) {
  fit <- glmer(
    y ~ x + w + offset(log(exposure)) + (1 | cluster), read("count"), poisson,
    nAGQ = nodes, control = control
  )
  results[[paste("poisson", nodes, sep = "_")]] <- describe(fit, nodes)
}
fit <- glmer(
  y ~ x + offset(log(exposure)) + (1 + x | cluster), read("count_slope"), poisson,
  control = control
)
results$poisson_slope_1 <- describe(fit, 1)

write_json(
  list(program = paste("lme4", packageVersion("lme4"), R.version.string), fits = results),
  "lme4.json", auto_unbox = TRUE, digits = NA, pretty = TRUE, null = "null"
)
