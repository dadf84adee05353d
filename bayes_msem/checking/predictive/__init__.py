"""Replicated data and how far the data are from them."""
