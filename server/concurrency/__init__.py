"""How long work shares the event loop: it yields now and then, and callers share one search."""
