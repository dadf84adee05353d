# Ordinal models by adaptive Gauss-Hermite quadrature: Rscript ordinal.R writes ordinal.json.
library(ordinal)
library(jsonlite)

data <- read.csv("../data/ordinal.csv")
data$y <- factor(data$y, ordered = TRUE)
results <- list()
for (link in c("probit", "logit")) {
  for (nodes in c(1, 15, 25, 51)) {
    fit <- clmm(
      y ~ x + w + (1 | cluster), data = data, link = link, nAGQ = nodes,
      control = clmm.control(gradTol = 1e-6, maxIter = 200)
    )
    results[[paste("ordinal", link, nodes, sep = "_")]] <- list(
      formula = "y ~ x + w + (1 | cluster)", link = link, nAGQ = nodes, n = nobs(fit),
      thresholds = unname(fit$alpha), fixed = as.list(fit$beta), random_sd = fit$ST[[1]][1, 1],
      se = unname(sqrt(diag(vcov(fit))[seq_len(5)])), logLik = as.numeric(logLik(fit)),
      max_gradient = max(abs(fit$gradient))
    )
  }
}
write_json(
  list(program = paste("ordinal", packageVersion("ordinal"), R.version.string), fits = results),
  "ordinal.json", auto_unbox = TRUE, digits = NA, pretty = TRUE
)
