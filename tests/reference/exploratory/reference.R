# Maximum likelihood of exploratory factor models by lavaan, written to reference.csv.
# Rscript reference.R, in this folder. lavaan 0.6-14.
suppressMessages(library(lavaan))
items <- read.csv("items.csv")
schools <- read.csv("items_in_schools.csv")
three <- 'efa("a")*f1 + efa("a")*f2 + efa("a")*f3 =~ y1 + y2 + y3 + y4 + y5 + y6 + y7 + y8 + y9'
rows <- list()
add <- function(name, fit) {
  p <- parameterEstimates(fit, remove.nonfree = FALSE)
  if (is.null(p$level)) p$level <- 1
  if (is.null(p$se)) p$se <- NA
  p <- p[, c("level", "lhs", "op", "rhs", "est", "se")]
  p$model <- name
  p$log_likelihood <- sprintf("%.8f", as.numeric(logLik(fit)))
  rows[[name]] <<- p
}
for (r in c("geomin", "oblimin", "varimax"))
  add(r, sem(three, items, rotation = r, meanstructure = TRUE, information = "observed"))
esem <- paste(three, "\n f1 + f2 + f3 ~ x \n z ~ f1 + f2 + f3")
add("esem", sem(esem, items, rotation = "geomin", meanstructure = TRUE, information = "observed"))
# With two levels lavaan's efa() does not converge, so this is the unrotated model, one loading 0
# per level: the same likelihood.
two <- '
level: 1
  f1 =~ NA*y1 + y2 + y3 + y4 + y5 + y6
  f2 =~ 0*y1 + NA*y2 + y3 + NA*y4 + y5 + y6
  f1 ~~ 1*f1; f2 ~~ 1*f2; f1 ~~ 0*f2
level: 2
  g1 =~ NA*y1 + y2 + y3 + y4 + y5 + y6
  g2 =~ 0*y1 + NA*y2 + y3 + NA*y4 + y5 + y6
  g1 ~~ 1*g1; g2 ~~ 1*g2; g1 ~~ 0*g2
'
add("two-level", sem(two, schools, cluster = "school", se = "none"))
all <- do.call(rbind, rows)
all$est <- sprintf("%.8f", all$est)
all$se <- sprintf("%.8f", all$se)
write.csv(all, "reference.csv", row.names = FALSE, quote = FALSE)
