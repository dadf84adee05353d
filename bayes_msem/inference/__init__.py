"""From a blueprint to a PyMC model, its modes and its draws."""
