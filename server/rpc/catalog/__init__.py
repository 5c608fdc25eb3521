"""CatalogService: services in the system of record."""
