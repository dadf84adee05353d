# Fit one model with lavaan's ML and store the results as reference figures.
# Sourced by the script.R files; run those from this folder, e.g. Rscript two-level/script.R
library(lavaan)
library(jsonlite)

# Write a data frame as gzipped CSV and read it back, so that lavaan fits what is stored.
store_data <- function(data, path) {
  connection <- gzfile(path, "w")
  write.csv(data, connection, row.names = FALSE, na = "NA")
  close(connection)
  read.csv(path)
}

# Newton step from the end point of a fit to the maximum of the likelihood.
# K spans the parameters that satisfy the equality constraints.
newton_step <- function(fit) {
  gradient <- as.numeric(lavInspect(fit, "gradient"))
  hessian <- unclass(lavInspect(fit, "hessian"))
  K <- if (fit@Model@eq.constraints) fit@Model@eq.constraints.K else diag(length(gradient))
  as.numeric(-K %*% solve(t(K) %*% hessian %*% K, t(K) %*% gradient))
}

newton_step_in_se <- function(fit) {
  max(abs(newton_step(fit)) / sqrt(diag(unclass(vcov(fit)))))
}

# lavaan's optimiser stops up to 0.001 SE from the maximum in two-level models; Newton steps do
# the rest. The start values travel in the parameter table that stands in for the model text,
# because sem(start = ) ignores the level of a row.
polished_fit <- function(model, ...) {
  fit <- suppressWarnings(sem(model, ..., control = list(iter.max = 20000, eval.max = 40000)))
  if (!lavInspect(fit, "converged")) stop("lavaan did not converge")
  for (i in 1:4) {
    table <- parTable(fit)
    free <- table$free > 0
    table$est[free] <- table$est[free] + newton_step(fit)[table$free[free]]
    table$start <- table$ustart <- table$est
    table$se <- NULL
    fit <- suppressWarnings(lavaan(table, ..., optim.method = "none"))
  }
  fit
}

# Estimates without what is not a parameter: moments of fixed exogenous covariates and
# intercepts that are fixed to zero. Intercepts become op "~", rhs "1".
estimate_rows <- function(fit, two_level) {
  table <- parTable(fit)
  rows <- table[table$op %in% c("=~", "~", "~~", "~1", ":="), ]
  fixed_zero <- rows$op == "~1" & rows$free == 0 & rows$est == 0
  rows <- rows[rows$exo == 0 & !fixed_zero, ]
  level <- if (two_level) c("within", "between")[match(rows$level, c(1, 2))] else "within"
  level <- ifelse(rows$op == ":=", "", level)
  if (two_level && is.character(table$level)) {
    level <- ifelse(rows$op == ":=", "", rows$level)
  }
  intercept <- rows$op == "~1"
  label <- ifelse(grepl("^[.]p[0-9]+[.]$", rows$label), "", rows$label)
  data.frame(level = level, lhs = rows$lhs, op = ifelse(intercept, "~", rows$op),
             rhs = ifelse(intercept, "1", rows$rhs), label = label, free = rows$free > 0,
             est = rows$est, se = rows$se)
}

# folder: where model.txt and reference.json go; data_file: relative to that folder.
write_reference <- function(folder, model, data, data_file, title, cluster = NULL, ...) {
  dir.create(folder, showWarnings = FALSE)
  writeLines(model, file.path(folder, "model.txt"))
  fit <- polished_fit(paste(model, collapse = "\n"), data = data, cluster = cluster,
                      meanstructure = TRUE, estimator = "ML",
                      likelihood = if (is.null(cluster)) "normal" else "default", ...)
  result <- list(
    title = title,
    software = "lavaan", lavaan_version = as.character(packageVersion("lavaan")),
    estimator = lavInspect(fit, "options")$estimator,
    se = lavInspect(fit, "options")$se,
    information = lavInspect(fit, "options")$information[1],
    fixed_x = lavInspect(fit, "options")$fixed.x,
    data = data_file, cluster = cluster, n_obs = lavInspect(fit, "ntotal"),
    converged = lavInspect(fit, "converged"),
    npar = unname(fitMeasures(fit, "npar")), log_likelihood = as.numeric(logLik(fit)),
    max_abs_gradient = max(abs(as.numeric(lavInspect(fit, "gradient")))),
    newton_step_in_se = newton_step_in_se(fit),
    estimates = estimate_rows(fit, !is.null(cluster)))
  writeLines(toJSON(result, digits = I(17), auto_unbox = TRUE, pretty = TRUE, na = "null",
                    null = "null"), file.path(folder, "reference.json"))
  cat(sprintf("%-40s logl %.8f  gradient %.1e  step/SE %.1e  %s\n", folder,
              result$log_likelihood, result$max_abs_gradient, result$newton_step_in_se,
              if (result$converged) "" else "NOT CONVERGED"))
  invisible(fit)
}
