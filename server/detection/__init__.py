"""Keeps one alert for each cyclic component of the graph, with what became of it and why."""
