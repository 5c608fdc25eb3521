"""The depgraph server: system of record, change feed, graph in memory, answers over gRPC."""
