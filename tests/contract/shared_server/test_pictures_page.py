"""The worked examples of docs/pictures.md print what the page shows."""

import re
import shlex

import pytest

from tests.support.command import ROOT, Command

# What commands print does not depend on the transport.
pytestmark = pytest.mark.one_transport

PAGE = (ROOT / "docs/pictures.md").read_text()
EXAMPLES = re.findall(r"```console\n\$ depgraph (.+)\n((?:.*\n)*?)```", PAGE)


async def test_the_examples_print_what_the_page_shows(quick_command: Command, online_shop: None) -> None:
    assert len(EXAMPLES) == 4
    for command, shown in EXAMPLES:
        finished = await quick_command(*shlex.split(command))
        assert (finished.returncode, finished.stderr) == (0, "")
        assert finished.stdout == shown


async def test_pictures_as_json_have_the_fields_of_the_contract(
    quick_command: Command, online_shop: None
) -> None:
    for command, field in (
        ("search pay", "matches"),
        ("around cart --open web", "neighbours"),
        ("map", "nodes"),
    ):
        finished = await quick_command(*command.split(), "--json")
        assert f'"{field}": [' in finished.stdout
        assert '"revision"' in finished.stdout
