# Reference models of data with missing outcomes, full-information maximum likelihood. Run in the
# parent folder: Rscript missing/script.R
# The data are simulated here (seed below) and rounded to 6 decimals before fitting. The clusters are
# sorted: with missing data, lavaan 0.6-14 mixes up the rows of clusters that are not contiguous.
source("lavaan_reference.R")
set.seed(20251103)

# 70 clusters of 1 to 10 (eight singletons), complete. y1 to y5 measure f, y6 to y8 measure g, which
# depends on f at both levels; z is an outcome at cluster level.
simulate <- function() {
  sizes <- sample(c(rep(1, 8), rep(2, 7), sample(3:10, 55, replace = TRUE)))
  J <- length(sizes)
  j <- rep(seq_len(J), sizes)
  N <- length(j)
  w <- rnorm(J)
  x <- rnorm(N)
  fb <- 0.4 * w + rnorm(J, sd = 0.7)
  fw <- 0.5 * x + rnorm(N, sd = 0.9)
  gb <- 0.6 * fb + rnorm(J, sd = 0.5)
  gw <- 0.4 * fw + rnorm(N, sd = 0.8)
  z <- 2 + 0.7 * fb + rnorm(J, sd = 0.6)
  indicator <- function(mean, within, between, sd_w, sd_b) {
    mean + within + between[j] + rnorm(N, sd = sd_w) + rnorm(J, sd = sd_b)[j]
  }
  data <- data.frame(cluster = j,
    y1 = indicator(0.5, fw, fb, 0.8, 0.4), y2 = indicator(-1, 0.8 * fw, 0.9 * fb, 0.9, 0.5),
    y3 = indicator(3, 0.9 * fw, 1.1 * fb, 0.7, 0.4), y4 = indicator(0, 0.7 * fw, 0.8 * fb, 1, 0.5),
    y5 = indicator(1, 1.1 * fw, fb, 0.8, 0.4), y6 = indicator(2, gw, gb, 0.7, 0.4),
    y7 = indicator(0, 0.9 * gw, 1.1 * gb, 0.8, 0.4), y8 = indicator(-2, 0.8 * gw, 0.9 * gb, 0.9, 0.5),
    x = x, z = z[j], w = w[j])
  data[-1] <- round(data[-1], 6)
  data
}

complete <- simulate()
ys <- paste0("y", 1:5)

# Singletons keep y1, so that every cluster has a value.
alone <- ave(complete$y1, complete$cluster, FUN = length) == 1

# 15 % of y1 to y5 at random; one row each of two large clusters has nothing at all.
mcar <- complete
for (y in ys) mcar[runif(nrow(mcar)) < 0.15, y] <- NA
mcar$y1[alone] <- complete$y1[alone]
large <- names(sort(-table(mcar$cluster)))[1:2]
mcar[match(large, mcar$cluster), ys] <- NA
mcar <- store_data(mcar, "missing/mcar.csv.gz")

# Dropout at random given y1, which everyone has: y6, then y7 too, then y8 too.
dropout <- complete
stage <- pmin(3, rpois(nrow(dropout), exp(-0.9 + 0.7 * (dropout$y1 - 0.5))))
for (k in 1:3) dropout[stage >= 4 - k, paste0("y", 5 + k)] <- NA
dropout <- store_data(dropout[, c("cluster", "y1", "y2", "y3", "y6", "y7", "y8", "x", "w")],
                      "missing/dropout.csv.gz")

# Ten whole clusters without y2 and five others without y4, beside 10 % of all at random.
whole <- complete
for (y in ys) whole[runif(nrow(whole)) < 0.1, y] <- NA
chosen <- sample(unique(whole$cluster), 15)
whole[whole$cluster %in% chosen[1:10], "y2"] <- NA
whole[whole$cluster %in% chosen[11:15], "y4"] <- NA
whole$y1[alone] <- complete$y1[alone]
# the outcome at cluster level is missing in 14 clusters, more often where y1 is high
pull <- ave(complete$y1, complete$cluster) + rnorm(nrow(whole), sd = 0.3)
whole[whole$cluster %in% names(sort(-tapply(pull, whole$cluster, mean)))[1:14], "z"] <- NA
whole <- store_data(whole, "missing/whole-clusters.csv.gz")

# Rows without any indicator of the model stay in the file, but lavaan does not get them: it says
# that it leaves them out, yet in two-level models they move the log-likelihood (by 0.003 in "mcar").
reference <- function(name, model, data, file, title, fixed.x = TRUE, cluster = "cluster") {
  indicators <- intersect(lavNames(lavaanify(paste(model, collapse = "\n")), "ov"), paste0("y", 1:8))
  data <- data[rowSums(!is.na(data[indicators])) > 0, ]
  write_reference(file.path("missing", name), model, data, file.path("..", file), title,
                  cluster = cluster, fixed.x = fixed.x, missing = "ml")
}

reference("mcar", c(
  "level: within",
  "  fw =~ y1 + y2 + y3 + y4 + y5",
  "level: between",
  "  fb =~ y1 + y2 + y3 + y4 + y5"),
  mcar, "mcar.csv.gz", "one factor a level; 15 % missing completely at random, two rows empty")

reference("dropout", c(
  "level: within",
  "  fw =~ y1 + y2 + y3",
  "  gw =~ y6 + y7 + y8",
  "  gw ~ fw",
  "level: between",
  "  fb =~ y1 + y2 + y3",
  "  gb =~ y6 + y7 + y8",
  "  gb ~ fb"),
  dropout, "dropout.csv.gz", "two factors a level, regressed; dropout at random given y1")

reference("whole-clusters", c(
  "level: within",
  "  fw =~ y1 + y2 + y3 + y4",
  "level: between",
  "  fb =~ y1 + y2 + y3 + y4"),
  whole, "whole-clusters.csv.gz", "ten clusters lack y2 and five lack y4")

reference("covariates", c(
  "level: within",
  "  fw =~ y1 + y2 + y3 + y4",
  "  fw ~ x",
  "level: between",
  "  fb =~ y1 + y2 + y3 + y4",
  "  fb ~ w"),
  mcar, "mcar.csv.gz", "one factor a level with complete covariates at both levels")

reference("cluster-level-outcome", c(
  "level: within",
  "  fw =~ y1 + y2 + y3",
  "level: between",
  "  fb =~ y1 + y2 + y3",
  "  z ~ fb"),
  whole, "whole-clusters.csv.gz", "a cluster-level outcome, missing in 14 clusters")

reference("cluster-level-outcome-complete", c(
  "level: within",
  "  fw =~ y1 + y2 + y3",
  "level: between",
  "  fb =~ y1 + y2 + y3",
  "  z ~ fb"),
  mcar, "mcar.csv.gz", "a complete cluster-level outcome of indicators with missing values")

reference("path", c(
  "level: within",
  "  y2 ~ a*y1",
  "level: between",
  "  y2 ~ b*y1",
  "contextual := b - a"),
  mcar, "mcar.csv.gz", "y1 is split; outcome and predictor both have missing values", fixed.x = FALSE)

reference("single-level", c(
  "f =~ y1 + y2 + y3 + y4 + y5",
  "f ~ x + w"),
  mcar, "mcar.csv.gz", "single-level factor with complete covariates", cluster = NULL)
