# Two-level two-factor SEM on leadership climate and hostility; the data ship with the package.
# Run in the parent folder: Rscript lq2002-two-factor/script.R
source("lavaan_reference.R")

army <- read.csv("../../bayes_msem/datasets/lq2002.csv.gz")
write_reference("lq2002-two-factor", readLines("lq2002-two-factor/model.txt"), army,
                "../../../bayes_msem/datasets/lq2002.csv.gz",
                "two-level two-factor SEM; ML has a negative between residual variance",
                cluster = "COMPID", fixed.x = TRUE)
