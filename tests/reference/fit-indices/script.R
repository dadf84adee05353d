# Fit measures of lavaan: chi-square, baseline chi-square and SRMR of stored reference models, and
# chi-squares with one level saturated (Ryu & West, 2009).
# Run in the parent folder: Rscript fit-indices/script.R
source("lavaan_reference.R")

measures <- c("chisq", "df", "baseline.chisq", "baseline.df", "unrestricted.logl", "rmsea", "cfi",
              "tli", "nfi", "mfi")
# The saturated two-level model comes from an EM algorithm whose default stops early.
tight <- list(em.h1.tol = 1e-12, em.h1.iter.max = 100000)

measured <- function(name, model, data, cluster, wanted) {
  call <- c(list(model, data = data, cluster = cluster, meanstructure = TRUE, fixed.x = TRUE,
                 estimator = "ML", control = list(iter.max = 20000)), tight)
  fit <- suppressWarnings(do.call("sem", call))
  if (!lavInspect(fit, "converged")) stop(name, " did not converge")
  data.frame(model = name, measure = wanted, value = as.numeric(fitMeasures(fit, wanted)))
}

stored <- c("single-level/cfa", "single-level/mimic", "single-level/political-democracy",
            "two-level/unbalanced", "two-level/balanced", "two-level/within-only-outcome",
            "two-level/cluster-level-outcome", "missing/single-level", "demo-twolevel")
rows <- lapply(stored, function(name) {
  json <- fromJSON(file.path(name, "reference.json"))
  data <- read.csv(file.path(name, json$data))
  model <- paste(readLines(file.path(name, "model.txt")), collapse = "\n")
  wanted <- if (is.null(json$cluster)) measures else c(measures, "srmr_within", "srmr_between")
  if (grepl("^missing", name)) tight <<- c(tight, missing = "ml")
  result <- measured(name, model, data, json$cluster, wanted)
  tight$missing <<- NULL
  result
})

demo <- read.csv("demo-twolevel/data.csv.gz")
saturated <- "y1 ~~ y1 + y2 + y3; y2 ~~ y2 + y3; y3 ~~ y3"
null <- "y1 ~~ y1 + 0*y2 + 0*y3; y2 ~~ y2 + 0*y3; y3 ~~ y3"
within <- c(model = "fw =~ y1 + y2 + y3; fw ~ x1 + x2 + x3",
            saturated = paste(saturated, "; y1 + y2 + y3 ~ x1 + x2 + x3"),
            null = paste(null, "; y1 + y2 + y3 ~ 0*x1 + 0*x2 + 0*x3"))
between <- c(model = "fb =~ y1 + y2 + y3; fb ~ w1 + w2",
             saturated = paste(saturated, "; y1 + y2 + y3 ~ w1 + w2"),
             null = paste(null, "; y1 + y2 + y3 ~ 0*w1 + 0*w2"))
partial <- list(within = c("model", "saturated"), between = c("saturated", "model"),
                "null within" = c("null", "saturated"), "null between" = c("saturated", "null"))
rows <- c(rows, lapply(names(partial), function(name) {
  choice <- partial[[name]]
  model <- paste0("level: 1\n", gsub(";", "\n", within[choice[1]]), "\nlevel: 2\n",
                  gsub(";", "\n", between[choice[2]]))
  measured(paste("demo-twolevel, only", name), model, demo, "cluster", c("chisq", "df"))
}))
result <- do.call(rbind, rows)
result$value <- signif(result$value, 12)
write.csv(result, "fit-indices/fit_measures.csv", row.names = FALSE, quote = TRUE)
