"""The strongly connected components of a graph, kept up to date while it changes."""
