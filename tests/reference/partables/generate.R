# Parameter tables of lavaan's sem() for the specifications below, one JSON file each.
#
# Run in this folder: Rscript generate.R   (written with lavaan 0.6-14, jsonlite 1.8)
#
# Nothing is fitted (do.fit = FALSE): the data are noise that only has to have the right columns,
# y and x varying at both levels, w and z at level 2 only. Each file holds the model text, the
# arguments, and lavaan's rows as they come (exo = 1: moments of covariates; rows `==` join
# the plabels of equal parameters).

suppressMessages(library(lavaan))
library(jsonlite)

set.seed(20240607)
n_clusters <- 60
cluster <- rep(seq_len(n_clusters), each = 6)
data <- data.frame(cluster = cluster)
for (v in c(paste0("y", 1:9), paste0("x", 1:3))) {
  data[[v]] <- rnorm(n_clusters)[cluster] + rnorm(length(cluster))
}
for (v in c(paste0("w", 1:3), paste0("z", 1:3))) {
  data[[v]] <- rnorm(n_clusters)[cluster]
}

single <- list(
  regression = "y1 ~ x1 + x2 + x3",
  path = "y1 ~ x1 + x2
y2 ~ y1 + x3",
  mediation = "y1 ~ a*x1
y2 ~ b*y1 + c*x1
indirect := a*b
total := c + a*b",
  correlated_outcomes = "y1 ~ x1 + x2
y2 ~ x1
y3 ~ x2",
  uncorrelated_outcomes = "y1 ~ x1
y2 ~ x1
y1 ~~ 0*y2",
  cfa = "f =~ y1 + y2 + y3
g =~ y4 + y5 + y6",
  cfa_std_lv = "f =~ y1 + y2 + y3
g =~ y4 + y5 + y6",
  second_order = "f =~ y1 + y2 + y3
g =~ y4 + y5 + y6
h =~ f + g + y7
k =~ y8 + y9
x1 ~ h",
  second_order_std_lv = "h =~ f + g
f =~ y1 + y2 + y3
g =~ 1*y4 + y5 + y6",
  single_indicator = "f =~ y1 + y2 + y3
g =~ y4
h =~ f
y5 ~ g",
  single_indicator_std_lv = "f =~ y1 + y2 + y3
g =~ y4
f ~ g",
  single_indicator_shared = "f =~ y1 + y2 + y3
g =~ y3",
  equality_labels = "f =~ y1 + a*y2 + a*y3
g =~ b*y4 + b*y5 + y6
y1 ~~ v*y1
y2 ~~ v*y2
y3 ~ i*1
y4 ~ i*1",
  equality_labels_std_lv = "f =~ a*y1 + a*y2 + y3
g =~ y4 + y5 + y6
g ~~ v*g",
  equality_constraints = "y1 ~ a*x1 + b*x2
y2 ~ c*x1 + d*y1
a == c
d == b",
  correlated_residuals = "f =~ y1 + y2 + y3 + y4
y1 ~~ y2
y3 ~~ r*y4",
  sem = "f1 =~ y1 + y2
f2 =~ y3 + y4
g1 =~ y5 + y6
g2 =~ y7 + y8
g1 ~ f1 + f2
g2 ~ f1 + f2",
  sem_chain = "f1 =~ y1 + y2
f2 =~ y3 + y4
f3 =~ y5 + y6
f2 ~ f1
f3 ~ f2 + x1
y7 ~ f1 + x1
y8 ~ f1",
  fixed_covariance = "f =~ y1 + y2 + y3
g =~ y4 + y5 + y6
h =~ y7 + y8 + y9
f ~~ 0*g
g ~~ 0.5*h",
  mimic = "f =~ y1 + y2 + y3
f ~ x1 + x2
y3 ~ x1",
  observed_exogenous_beside_factor = "f =~ y1 + y2 + y3
y4 ~ f + x1
f ~~ x1",
  freed_marker = "f =~ NA*y1 + y2 + 2*y3
g =~ NA*y4 + y5
g ~~ 1*g
f ~~ start(0.5)*f",
  intercepts = "f =~ y1 + y2 + y3
f ~ 1
y1 ~ 0*1
y2 ~ start(2)*1",
  moments_only = "y3 ~~ y3
y1 ~~ y2
y4 ~ 1",
  modelled_predictor = "y1 ~ x1 + x2
x1 ~~ x1"
)

two_level <- list(
  two_level_demo = "level: 1
fw =~ y1 + y2 + y3
fw ~ x1 + x2 + x3
level: 2
fb =~ y1 + y2 + y3
fb ~ w1 + w2",
  two_level_two_factors = "level: 1
fw =~ y1 + y2 + y3
gw =~ y4 + y5 + y6
gw ~ bw*fw
level: 2
fb =~ y1 + y2 + y3
gb =~ y4 + y5 + y6
gb ~ bb*fb
contextual := bb - bw",
  two_level_std_lv = "level: 1
fw =~ y1 + y2 + y3
gw =~ y4 + y5 + y6
gw ~ fw
level: 2
fb =~ y1 + y2 + y3 + y4 + y5 + y6",
  two_level_within_only = "level: 1
fw =~ y1 + y2 + y3
y4 ~ fw + x1
y5 ~ x1
y6 ~~ y7
level: 2
y1 ~~ y1
y2 ~~ y2
y7 ~~ y7",
  two_level_cluster_outcomes = "level: 1
f =~ y1 + y2
g =~ y3
g ~ f
level: 2
f =~ y1 + y2 + y3
z1 ~ f + w1
z2 ~ f
z3 ~~ z3",
  two_level_path = "level: 1
y1 ~ x1
y2 ~ y1 + x2
level: 2
y1 ~ w1
y2 ~ w1 + w2",
  two_level_equal_loadings = "level: 1
fw =~ y1 + l2*y2 + l3*y3
level: 2
fb =~ y1 + l2*y2 + l3*y3
y1 ~~ 0*y1"
)

columns <- c("lhs", "op", "rhs", "block", "user", "free", "ustart", "exo", "label", "plabel")

store <- function(name, text, cluster) {
  std_lv <- grepl("std_lv", name)
  arguments <- list(model = text, data = data, std.lv = std_lv, do.fit = FALSE)
  if (is.null(cluster)) arguments$meanstructure <- TRUE else arguments$cluster <- cluster
  # The warning that a predictor with a variance becomes random is what we want to see.
  fit <- suppressWarnings(do.call("sem", arguments))
  rows <- parTable(fit)
  if (is.null(rows$block)) rows$block <- 1L
  head <- list(
    lavaan = as.character(packageVersion("lavaan")), model = strsplit(text, "\n")[[1]],
    cluster = cluster, std_lv = std_lv, data = names(data), columns = columns
  )
  lines <- vapply(seq_len(nrow(rows)), function(i) {
    toJSON(unname(as.list(rows[i, columns])), auto_unbox = TRUE, na = "null", digits = NA)
  }, "")
  fields <- vapply(names(head), function(field) {
    vector <- field %in% c("model", "data", "columns")
    value <- if (vector) I(head[[field]]) else head[[field]]
    paste0('  "', field, '": ', toJSON(value, auto_unbox = TRUE, null = "null"))
  }, "")
  body <- paste0('  "rows": [\n    ', paste(lines, collapse = ",\n    "), "\n  ]")
  writeLines(c("{", paste(c(fields, body), collapse = ",\n"), "}"), paste0(name, ".json"))
}

for (name in names(single)) store(name, single[[name]], NULL)
for (name in names(two_level)) store(name, two_level[[name]], "cluster")
