"""Keeps one alert for each cyclic component of the graph: finds out what became of which, says why, and has it written."""
