"""``depgraph diff``, ``depgraph changes`` and ``--as-of`` against the real server."""

import pytest

from tests.support.command import Command

# What commands print does not depend on the transport.
pytestmark = pytest.mark.one_transport

FUTURE = "2199-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("impact a --as-of soon", "Invalid value for '--as-of': 'soon' is no time: expected one such as 2h"),
        ("diff soon", "Invalid value for 'FROM': 'soon' is no time"),
        ("diff 2h later", "Invalid value for 'TO': 'later' is no time"),
        ("changes --since 25:00", "Invalid value for '--since': '25:00' is no time: hour must be"),
        (f"diff {FUTURE}", "FROM: lies in the future: the server's clock says"),
        (f"diff 2h {FUTURE}", "TO: lies in the future"),
        ("diff 1h 2h", "FROM: is after TO"),
        (f"changes --since 1h --until {FUTURE}", "--until: lies in the future"),
        ("changes --since 1h --until 2h", "--since: is after --until"),
        ("changes --hops 1", "Invalid value for --hops: give the SERVICE"),
    ],
)
async def test_a_wrong_time_exits_with_2_and_names_the_option(
    command: str, complaint: str, quick_command: Command
) -> None:
    finished = await quick_command(*command.split())
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.count("\n") == 1
    assert complaint in finished.stderr
