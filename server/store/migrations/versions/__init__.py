"""One file a migration, in order; each runs the two scripts of its number."""
