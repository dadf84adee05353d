# Standardised solution and R-squared of model.txt, at the estimates stored beside them:
# Rscript demo-twolevel/standardized.R  (in the parent folder)
library(lavaan)

data <- read.csv(gzfile("demo-twolevel/data.csv.gz"))
text <- grep("^#", readLines("demo-twolevel/model.txt"), invert = TRUE, value = TRUE)
fit <- sem(text, data, cluster = "cluster", fixed.x = TRUE)
table <- parameterEstimates(fit)
table$std_all <- standardizedSolution(fit, type = "std.all", se = FALSE)$est.std
table$level <- c("within", "between")[table$level]
r2 <- lavInspect(fit, "rsquare")
lines <- do.call(rbind, lapply(seq_along(r2), function(i) {
  data.frame(level = c("within", "between")[i], lhs = names(r2[[i]]), op = "r2", rhs = "",
             est = NA, std_all = as.numeric(r2[[i]]))
}))
columns <- c("level", "lhs", "op", "rhs", "est", "std_all")
both <- rbind(table[, columns], lines)
both$est <- signif(both$est, 12)
both$std_all <- signif(both$std_all, 12)
write.csv(both, "demo-twolevel/standardized.csv", row.names = FALSE)
