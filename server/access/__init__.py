"""Who calls and what it may do. Knows neither gRPC nor SQL."""
