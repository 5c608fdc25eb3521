"""The commands of ``depgraph``, one a file, each with what it prints."""
