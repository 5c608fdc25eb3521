"""
Questions that need more than a walk: cycles, cuts, impact, paths, audits, drift, changes, aliases.

They only read a graph that does not change meanwhile, and don't use its scratch arrays, so they may
run in a thread beside readers.
"""
