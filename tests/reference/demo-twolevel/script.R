# lavaan's Demo.twolevel (rounded to 6 decimals): two-level factor model with covariates.
# Run in the parent folder: Rscript demo-twolevel/script.R
source("lavaan_reference.R")

demo <- round(Demo.twolevel[, c("cluster", paste0("y", 1:3), paste0("x", 1:3), "w1", "w2")], 6)
demo <- store_data(demo, "demo-twolevel/data.csv.gz")
write_reference("demo-twolevel", readLines("demo-twolevel/model.txt"), demo, "data.csv.gz",
                "two-level factor model with covariates at both levels", cluster = "cluster",
                fixed.x = TRUE)
