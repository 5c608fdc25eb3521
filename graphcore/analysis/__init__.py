"""What a dependency graph is kept for: algorithms on a graph that stands still, which neither change it nor use its scratch space."""
