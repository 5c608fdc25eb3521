"""DependencyService: dependencies in the system of record, and the reports that they come from."""
