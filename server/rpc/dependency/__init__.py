"""DependencyService: dependencies in the system of record."""
