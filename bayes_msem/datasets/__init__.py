"""Example data shipped with the package; README.md beside this file has their provenance."""

from bayes_msem.datasets.catalogue import (
    Dataset,
    describe_dataset,
    list_datasets,
    load_dataset,
)

__all__ = ["Dataset", "describe_dataset", "list_datasets", "load_dataset"]
