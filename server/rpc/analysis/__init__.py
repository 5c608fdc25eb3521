"""
AnalysisService: analyses of the graph in memory, one module each.

A module's ``*_question`` reads a request, and raises ``InvalidInputError`` with everything that is
wrong with it. Its ``*_answer`` encodes the response without its freshness, of at most ``limit``
bytes; it raises ``ServiceNotFoundError`` and ``ResponseTooLargeError``, and takes as long as the
analysis that it calls.
"""
