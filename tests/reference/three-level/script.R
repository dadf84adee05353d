# Three levels by lme4: growth with random intercepts and slopes of pupils and schools, and random
# intercepts with covariates of every level. Rscript script.R, in this folder.
suppressMessages({library(lme4); library(jsonlite)})
RNGversion("4.0.0"); set.seed(20)
K <- 30
w3 <- rnorm(K)
pupils <- sample(2:9, K, replace = TRUE)
school <- rep(seq_len(K), pupils); J <- length(school)
w2 <- rnorm(J)
visits <- sample(1:6, J, replace = TRUE)
pupil <- rep(seq_len(J), visits); N <- length(pupil)
time <- unlist(lapply(visits, function(n) sort(sample(0:6, n)))) / 2
L2 <- chol(matrix(c(.8, .15, .15, .25), 2)); L3 <- chol(matrix(c(.5, -.1, -.1, .12), 2))
u2 <- matrix(rnorm(2 * J), J) %*% L2; u3 <- matrix(rnorm(2 * K), K) %*% L3
sch <- school[pupil]
y <- 2 + .4 * time + .3 * w2[pupil] + .5 * w3[sch] + u2[pupil, 1] + u3[sch, 1] +
  (u2[pupil, 2] + u3[sch, 2]) * time + rnorm(N, sd = .7)
data <- data.frame(school = sch, pupil = pupil, time = time, w2 = w2[pupil], w3 = w3[sch], y = y)
data[, c("w2", "w3", "y")] <- round(data[, c("w2", "w3", "y")], 4)
gz <- gzfile("data.csv.gz", "w"); write.csv(data, gz, row.names = FALSE); close(gz)
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e6))
results <- list(program = paste("lme4", packageVersion("lme4")))
fit_one <- function(formula) {
  fit <- lmer(formula, data, REML = FALSE, control = control)
  # from where it stops, by the simplex as well: the better of both
  theta <- getME(fit, "theta"); n <- length(theta)
  simplex <- list(xst = rep(.02, n), xt = rep(1e-10, n), maxfun = 1e6)
  again <- lmer(formula, data, REML = FALSE, start = theta,
    control = lmerControl(optimizer = "Nelder_Mead", optCtrl = simplex))
  if (logLik(again) > logLik(fit)) fit <- again
  variances <- as.data.frame(VarCorr(fit))
  effects <- lapply(ranef(fit, condVar = FALSE), function(e) cbind(unit = rownames(e), e))
  names(effects) <- sub(":.*", "", names(effects))
  list(formula = deparse1(formula), log_likelihood = as.numeric(logLik(fit)),
    fixed = as.list(fixef(fit)), se = as.list(sqrt(diag(as.matrix(vcov(fit))))),
    variances = variances[, c("grp", "var1", "var2", "vcov")], ranef = effects)
}
results$growth <- fit_one(y ~ time + w2 + w3 + (1 + time | school) + (1 + time | pupil))
results$intercepts <- fit_one(y ~ time + w2 + w3 + (1 | school) + (1 | pupil))
results$slope_of_level_two <- fit_one(y ~ time + w2 + (1 + w2 | school) + (1 + time | pupil))
write_json(results, "reference.json", digits = 15, auto_unbox = TRUE, pretty = TRUE)
