"""Models of other programs: reading Mplus inputs, and writing texts for lavaan and Mplus."""
