"""What was observed: columns and clusters, checked against the model, and their moments."""
