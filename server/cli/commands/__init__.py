"""The commands of ``depgraph``, one a file, each with how its answer is written."""
