# Negative binomial, Laplace approximation: Rscript glmmTMB.R writes glmmTMB.json.
# Only for estimates near the maximum; the log-likelihood by quadrature is in quadrature.json.
library(glmmTMB)
library(jsonlite)

data <- read.csv("../data/count.csv")
fit <- glmmTMB(
  overdispersed ~ x + w + offset(log(exposure)) + (1 | cluster), data,
  family = nbinom2
)
result <- list(
  program = paste("glmmTMB", packageVersion("glmmTMB"), R.version.string),
  fits = list(negbinomial_1 = list(
    formula = "overdispersed ~ x + w + offset(log(exposure)) + (1 | cluster)",
    nAGQ = 1, n = nobs(fit), fixed = as.list(fixef(fit)$cond),
    random_sd = unname(attr(VarCorr(fit)$cond$cluster, "stddev")),
    dispersion_alpha = 1 / sigma(fit), # Var = m + alpha m^2
    logLik = as.numeric(logLik(fit))
  ))
)
write_json(result, "glmmTMB.json", auto_unbox = TRUE, digits = NA, pretty = TRUE)
