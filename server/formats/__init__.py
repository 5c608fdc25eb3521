"""Files that a graph is read from; a module a format, which turns bytes into reports."""
