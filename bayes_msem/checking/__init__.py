"""Does the model describe the data: simulation, predictive checks, fit indices, LOO, priors."""
