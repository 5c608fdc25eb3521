"""AlertService: circular-dependency alerts."""
