"""Normal distributions in NumPy: conditioning, draws, roots, expectations."""
