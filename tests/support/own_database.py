"""
A tiny service: starts the embedded database, commits a row, waits to be killed.

Run with the data folder as its argument; prints one line of JSON once the row is committed.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import asyncpg

from server.store.embedded import EmbeddedPostgres


async def main(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as database:
        connection = await asyncpg.connect(database.url)
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (note text)")
        await connection.execute("INSERT INTO kept VALUES ('committed')")
        rows = await connection.fetchval("SELECT count(*) FROM kept")
        await connection.execute("BEGIN; INSERT INTO kept VALUES ('never committed')")
        answer = {
            "pid": os.getpid(),
            "uid": os.geteuid(),
            "server": database.pid,
            "url": database.url,
            "rows": rows,
        }
        print(json.dumps(answer), flush=True)  # noqa: T201 - the test reads it
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
