"""HistoryService: what differs between two states of the graph, and the single changes."""
