"""Pulls from systems that know who calls whom: configuration, HTTP, pulls, schedule."""
