"""Files that a graph is read from. Each format has a module that turns bytes into reports of a discovery source."""
