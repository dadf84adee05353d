"""From the parameter table to matrices: templates, parameters, implied moments."""
