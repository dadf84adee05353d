"""Families of outcomes: what belongs to one is in its own file, and families.py lists them."""
