"""The policy that every file of the console comes with."""

import httpx
import pytest

from tests.support.browser import Console

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


@pytest.mark.parametrize("path", ["/", "/index.html", "/app.js", "/style.css", "/no-such-file"])
async def test_every_file_comes_with_the_strict_policy(console: Console, path: str) -> None:
    async with httpx.AsyncClient(base_url=console.url) as client:
        answer = await client.get(path)
    parts = [part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")]
    assert {name: "".join(rest) for name, *rest in parts if name} == POLICY
