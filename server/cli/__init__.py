"""The ``depgraph`` command. Commands import what they need when they run, so that ``--help`` and ``status`` start quickly."""
