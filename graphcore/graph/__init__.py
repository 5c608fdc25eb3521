"""The graph itself: its records, how they are stored, indexed, changed and copied."""
