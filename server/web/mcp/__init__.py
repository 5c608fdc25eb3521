"""Tools for agents: questions about the graph by the Model Context Protocol."""
