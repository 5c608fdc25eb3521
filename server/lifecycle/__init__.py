"""Parts of the process's life, each opened or run by ``server.app``."""
