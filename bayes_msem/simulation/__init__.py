"""Data from a model."""
