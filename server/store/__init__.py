"""The system of record: migrations, repositories, the connection pool, the embedded database."""
