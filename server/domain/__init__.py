"""What every room of the server speaks of: values, errors, ports. Imports nothing but the standard library."""
