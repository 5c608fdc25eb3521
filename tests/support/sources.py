"""Sources of the replay server, made without a file."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from server.sources.config import load_sources
from server.sources.source import Source


def source(url: str, **more: Any) -> Source:
    """Make a source of Prometheus, but for what ``more`` says."""
    usual: dict[str, Any] = {
        "name": "prom",
        "kind": "prometheus",
        "url": url,
        "discovery_source": "otel_service_graph",
        "every": timedelta(minutes=1),
        "window": timedelta(minutes=5),
    }
    return Source(**usual | more)


def sources_file(folder: Path, *tables: str) -> Path:
    """Write a sources file that can be used."""
    path = folder / "sources.toml"
    path.write_text("".join(f"[[source]]\n{table}\n" for table in tables))
    assert load_sources(path)
    return path
