"""One model with one data set, and its values: from the user's tables to parameters and back."""
