"""Stubs of the contract ``depgraph.v1``, generated from ``proto/`` by ``make proto``."""
