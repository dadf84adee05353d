"""Outcomes that are not normal: families and links."""
