"""HTTP: the methods as JSON, and the console."""
