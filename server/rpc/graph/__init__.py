"""GraphService: the graph in memory."""
