"""Measurements: one command, one table. Nothing here is a test; tests assert no times."""
