"""From a declared structure and data to a PyMC model, its modes and its draws."""
