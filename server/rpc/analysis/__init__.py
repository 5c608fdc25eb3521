"""AnalysisService: analyses of the graph in memory, one module each."""
