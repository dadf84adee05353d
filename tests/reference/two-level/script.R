# Two-level reference models, maximum likelihood. Run in the parent folder:
# Rscript two-level/script.R
# The data are simulated here (seed below) and rounded to 6 decimals before fitting.
source("lavaan_reference.R")
set.seed(20240517)

# 80 clusters of 1 to 12 (eleven singletons); every variable that the models below need.
simulate <- function() {
  sizes <- c(rep(1, 11), rep(2, 9), sample(3:12, 60, replace = TRUE))
  J <- length(sizes)
  id <- rep(sample(100 + 3 * seq_len(J)), sizes)
  g <- rep(seq_len(J), sizes)
  N <- length(g)
  w1 <- rnorm(J)
  w2 <- rbinom(J, 1, 0.4)
  xb <- matrix(rnorm(2 * J), J) %*% chol(matrix(c(0.5, 0.15, 0.15, 0.4), 2))
  xw <- matrix(rnorm(2 * N), N) %*% chol(matrix(c(1, 0.3, 0.3, 0.8), 2))
  fb <- 0.5 * w1 - 0.4 * w2 + rnorm(J, sd = 0.7)
  c1 <- 1 + 0.6 * fb + 0.3 * w1 + rnorm(J, sd = 0.6)
  x1 <- rnorm(N)
  x2 <- rbinom(N, 1, 0.5)
  fw <- 0.5 * x1 - 0.3 * x2 + rnorm(N, sd = 0.8)
  indicator <- function(mean, loading_w, loading_b, sd_w, sd_b) {
    mean + loading_w * fw + loading_b * fb[g] + rnorm(N, sd = sd_w) + rnorm(J, sd = sd_b)[g]
  }
  y1 <- indicator(0.2, 1, 1, 0.9, 0.4)
  y2 <- indicator(-0.5, 0.8, 0.9, 1.0, 0.5)
  y3 <- indicator(3, 0.7, 1.1, 0.8, 0.45)
  y4 <- 2 + 0.6 * fw + 0.4 * x2 + rnorm(N, sd = 0.7)
  s1 <- 1 + xw[, 1] + xb[g, 1]
  s2 <- -1 + xw[, 2] + xb[g, 2]
  t1 <- 0.5 + 0.4 * xw[, 1] - 0.3 * xw[, 2] + 0.9 * xb[g, 1] + 0.2 * xb[g, 2] +
    rnorm(N, sd = 0.8) + rnorm(J, sd = 0.5)[g]
  data <- data.frame(cluster = id, y1, y2, y3, y4, x1, x2, s1, s2, t1,
                     c1 = c1[g], w1 = w1[g], w2 = w2[g])
  data[-1] <- round(data[-1], 6)
  data[sample(N), ]  # clusters are not contiguous in the file
}

data <- store_data(simulate(), "two-level/simulated.csv.gz")
balanced <- table(data$cluster)
balanced <- data[data$cluster %in% names(balanced)[balanced > 2], ]
balanced <- balanced[ave(balanced$y1, balanced$cluster, FUN = seq_along) <= 3, ]
balanced <- store_data(balanced, "two-level/simulated-balanced.csv.gz")

reference <- function(name, model, title, file = "simulated.csv.gz", fixed.x = TRUE) {
  used <- if (file == "simulated.csv.gz") data else balanced
  write_reference(file.path("two-level", name), model, used, file.path("..", file), title,
                  cluster = "cluster", fixed.x = fixed.x)
}

factor_model <- c(
  "level: within",
  "  fw =~ y1 + y2 + y3",
  "  fw ~ x1 + x2",
  "level: between",
  "  fb =~ y1 + y2 + y3",
  "  fb ~ w1 + w2")

reference("unbalanced", factor_model, "factor model, clusters of 1 to 12")
reference("balanced", factor_model, "factor model, every cluster of size 3",
          file = "simulated-balanced.csv.gz")

reference("within-only-outcome", c(
  "level: within",
  "  fw =~ y1 + y2 + y3",
  "  fw ~ x1 + x2",
  "  y4 ~ fw + x2",
  "level: between",
  "  fb =~ y1 + y2 + y3",
  "  fb ~ w1 + w2"),
  "y4 has no between part: its mean is a constant")

reference("cluster-level-outcome", c(
  "level: within",
  "  fw =~ y1 + y2 + y3",
  "  fw ~ x1",
  "level: between",
  "  fb =~ y1 + y2 + y3",
  "  fb ~ w1",
  "  c1 ~ fb + w1"),
  "an observed cluster-level outcome of the between factor")

reference("regression", c(
  "level: within",
  "  y1 ~ x1 + x2",
  "level: between",
  "  y1 ~ w1 + w2"),
  "two-level regression with a random intercept")

reference("path", c(
  "level: within",
  "  y1 ~ x1",
  "  y2 ~ a*y1 + x1",
  "level: between",
  "  y1 ~ w1",
  "  y2 ~ b*y1 + w1",
  "contextual := b - a"),
  "y1 is split: a within and a between slope of y2 on y1")

reference("cluster-level-mediator", c(
  "level: within",
  "  y1 ~ x1",
  "level: between",
  "  c1 ~ a*w1",
  "  y1 ~ b*c1 + w1",
  "indirect := a * b"),
  "an observed cluster-level variable that is outcome and predictor")

reference("split-covariates", c(
  "level: within",
  "  t1 ~ s1 + s2",
  "  s1 ~~ s2",
  "level: between",
  "  t1 ~ s1 + s2",
  "  s1 ~~ s2"),
  "covariates split over both levels, modelled (fixed.x = FALSE)", fixed.x = FALSE)

reference("equal-loadings", c(
  "level: within",
  "  fw =~ y1 + l2*y2 + l3*y3",
  "  fw ~~ vw*fw",
  "level: between",
  "  fb =~ y1 + l2*y2 + l3*y3",
  "  fb ~~ vb*fb",
  "  y1 ~~ 0*y1",
  "  y2 ~~ 0*y2",
  "  y3 ~~ 0*y3",
  "icc := vb / (vw + vb)"),
  "loadings equal over levels, between residual variances zero: singular between covariance")

# Mediation over the levels: the digits are the levels of predictor, mediator and outcome.

reference("mediation-2-1-1", c(
  "level: within",
  "  y1 ~ x1",
  "  y2 ~ y1",
  "level: between",
  "  y1 ~ a*w1",
  "  y2 ~ b*y1 + w1",
  "indirect := a * b"),
  "2-1-1: cluster covariate, split mediator, split outcome")

reference("mediation-1-1-2", c(
  "level: within",
  "  t1 ~ s1",
  "  s1 ~~ s1",
  "level: between",
  "  t1 ~ a*s1",
  "  c1 ~ b*t1 + s1",
  "  s1 ~~ s1",
  "indirect := a * b"),
  "1-1-2: split predictor, split mediator, cluster-level outcome", fixed.x = FALSE)

reference("mediation-2-1-2", c(
  "level: within",
  "  fw =~ y1 + y2 + y3",
  "level: between",
  "  fb =~ y1 + y2 + y3",
  "  fb ~ a*w1",
  "  c1 ~ b*fb + w1",
  "indirect := a * b"),
  "2-1-2: cluster covariate, factor as mediator, cluster-level outcome")

reference("mediation-1-2-1", c(
  "level: within",
  "  t1 ~ s1",
  "  s1 ~~ s1",
  "level: between",
  "  c1 ~ a*s1",
  "  t1 ~ b*c1 + s1",
  "  s1 ~~ s1",
  "indirect := a * b"),
  "1-2-1: split predictor, cluster-level mediator, split outcome", fixed.x = FALSE)

reference("cluster-level-indicator", c(
  "level: within",
  "  fw =~ y1 + y2 + y3",
  "level: between",
  "  fb =~ y1 + y2 + y3 + c1",
  "  fb ~ w1"),
  "a between factor measured by three between parts and a cluster-level variable")
