# Single-level reference models, maximum likelihood (normal, divisor N), covariates fixed.
# Run in the parent folder: Rscript single-level/script.R
# Data: Holzinger & Swineford (1939) and Bollen (1989), as shipped with lavaan.
source("lavaan_reference.R")

scores <- HolzingerSwineford1939[, c("sex", "ageyr", "grade", paste0("x", 1:9))]
scores <- store_data(scores, "single-level/holzinger-swineford.csv.gz")
democracy <- store_data(PoliticalDemocracy, "single-level/political-democracy.csv.gz")

reference <- function(name, model, data, file, title) {
  write_reference(file.path("single-level", name), model, data, file.path("..", file), title,
                  fixed.x = TRUE)
}
holzinger <- "holzinger-swineford.csv.gz"

reference("cfa", c(
  "visual =~ x1 + x2 + x3",
  "textual =~ x4 + x5 + x6",
  "speed =~ x7 + x8 + x9"),
  scores, holzinger, "three-factor CFA")

reference("cfa-equal-labels", c(
  "visual =~ x1 + a*x2 + a*x3",
  "textual =~ x4 + b*x5 + b*x6",
  "speed =~ x7 + x8 + x9",
  "x7 ~~ v*x7",
  "x8 ~~ v*x8",
  "ratio := a / b"),
  scores, holzinger, "three-factor CFA, equal loadings and residual variances by label")

reference("second-order", c(
  "visual =~ x1 + x2 + x3",
  "textual =~ x4 + x5 + x6",
  "speed =~ x7 + x8 + x9",
  "ability =~ visual + textual + speed"),
  scores, holzinger, "second-order factor")

reference("mimic", c(
  "visual =~ x1 + x2 + x3",
  "textual =~ x4 + x5 + x6",
  "visual + textual ~ sex + ageyr",
  "x3 ~ sex"),
  scores, holzinger, "MIMIC with one direct effect; factor residuals covary by default")

reference("regression", c(
  "x9 ~ x7 + x8 + ageyr"),
  scores, holzinger, "regression on fixed covariates")

reference("mediation", c(
  "x4 ~ a*ageyr + sex",
  "x9 ~ b*x4 + c*ageyr",
  "indirect := a * b",
  "total := a * b + c"),
  scores, holzinger, "path model with a mediator, observed variables")

reference("political-democracy", c(
  "ind60 =~ x1 + x2 + x3",
  "dem60 =~ y1 + y2 + y3 + y4",
  "dem65 =~ y5 + y6 + y7 + y8",
  "dem60 ~ ind60",
  "dem65 ~ ind60 + dem60",
  "y1 ~~ y5",
  "y2 ~~ y4 + y6",
  "y3 ~~ y7",
  "y4 ~~ y8",
  "y6 ~~ y8"),
  democracy, "political-democracy.csv.gz", "SEM with correlated residuals (Bollen 1989)")
