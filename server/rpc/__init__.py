"""The contract over gRPC: one servicer a file; a handler converts, calls, converts."""
