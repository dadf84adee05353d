"""Tests, one folder per room of the package; shared code is imported as tests.<room>.<module>."""
