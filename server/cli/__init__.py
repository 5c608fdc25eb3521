"""
The ``depgraph`` command.

``--help`` and ``status`` must start quickly: commands import the server's packages when they run.
"""
