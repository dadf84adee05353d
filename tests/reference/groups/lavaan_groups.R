# Several groups in lavaan 0.6-14: log-likelihoods, estimates and standard errors.
#   Rscript lavaan_groups.R        in this folder; writes groups.json
# groups.csv.gz is simulated: three groups of 40, 35 and 30 clusters, a factor at both levels, a
# covariate at each; y1m ... y4m are y1 ... y4 with values missing at random.
# Of two levels and groups with equal rows, lavaan 0.6-14 stops .05 below the maximum of the
# likelihood (its log-likelihood at its own estimates is right): the test compares values there.
# lavaan takes two levels and groups only with a block of text for each group and level, and then
# does not set intercepts equal: those stand in the text as labels.
library(lavaan)
library(jsonlite)
d <- read.csv(gzfile("groups.csv.gz"))
levels <- c("DE", "FR", "IT")
d$g <- factor(d$g, levels)

blocks <- function(between) paste0(sapply(1:3, function(g) paste0(
  "group: ", g, "\nlevel: 1\nfw =~ y1 + y2 + y3 + y4\nfw ~ x\nlevel: 2\n",
  "fb =~ y1 + y2 + y3 + y4\nfb ~ w\n", between(g)
)), collapse = "\n")
free <- function(g) ""
scalar <- function(g) paste0(
  "y1 ~ i1*1; y2 ~ i2*1; y3 ~ i3*1; y4 ~ i4*1\n", if (g > 1) "fb ~ NA*1\n" else "fb ~ 0*1\n"
)
one <- "f =~ y1 + y2 + y3 + y4\nf ~ x"
missing <- "f =~ y1m + y2m + y3m + y4m\nf ~ x"
labels <- "f =~ y1 + c(a, a, b)*y2 + c(NA, NA, 1.2)*y3 + y4\nf ~ c(s1, s2, s1)*x\nd := s2 - s1"
cfa <- "f =~ y1 + y2 + y3 + y4"
two <- function(text, ...) sem(text, d, cluster = "cl", group = "g", information = "observed",
  ...)
single <- function(text, ...) sem(text, d, group = "g", meanstructure = TRUE,
  information = "observed", ...)
fits <- list(
  two_configural = two(blocks(free)),
  two_metric = two(blocks(free), group.equal = "loadings"),
  two_scalar = two(blocks(scalar), group.equal = "loadings"),
  one_configural = single(one),
  one_metric = single(one, group.equal = "loadings"),
  one_scalar = single(one, group.equal = c("loadings", "intercepts")),
  one_strict = single(cfa, group.equal = c("loadings", "intercepts", "residuals", "lv.variances")),
  one_partial = single(one, group.equal = c("loadings", "intercepts"), group.partial = c("f=~y3", "y2~1")),
  one_std_lv = single(cfa, group.equal = c("loadings", "intercepts"), std.lv = TRUE),
  one_labels = single(labels),
  one_missing = single(missing, group.equal = c("loadings", "regressions"), missing = "ml", fixed.x = TRUE)
)
results <- lapply(fits, function(fit) {
  p <- parameterEstimates(fit, remove.nonfree = FALSE)
  p <- p[!(p$lhs %in% c("x", "w")), ]
  p$group <- ifelse(p$group > 0, levels[pmax(p$group, 1)], "")
  if (is.null(p$level)) p$level <- ifelse(p$op == ":=", 0, 1)
  # covariates are part of lavaan's log-likelihood in single-level models
  ll <- as.numeric(logLik(fit))
  list(log_likelihood = ll, converged = lavInspect(fit, "converged"),
       level = p$level, lhs = p$lhs, op = p$op, rhs = p$rhs, group = p$group, est = p$est, se = p$se)
})
write_json(results, "groups.json", digits = 12, auto_unbox = TRUE)
print(sapply(results, function(r) r$log_likelihood), digits = 12)
