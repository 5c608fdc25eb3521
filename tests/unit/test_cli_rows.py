"""No server: writing the rows of a graph is interrupted."""

from unittest.mock import Mock

import pytest

from depgraph.v1.catalog_service_pb2 import BatchUpsertServicesResponse
from depgraph.v1.types_pb2 import Service
from server.cli.asked import AskedServer
from server.cli.rows import write_rows
from server.formats.exported import GraphRows


def test_an_interruption_says_how_many_rows_are_in(capsys: pytest.CaptureFixture[str]) -> None:
    rows = GraphRows([Service(service_id=str(number)) for number in range(2_500)], [], [])
    answers = (BatchUpsertServicesResponse(created_count=2_000), KeyboardInterrupt())
    client = Mock(spec_set=("catalog",), catalog=Mock(BatchUpsertServices=Mock(side_effect=answers)))
    with pytest.raises(KeyboardInterrupt):
        write_rows(client, rows, Mock(spec=AskedServer))
    said = "depgraph: interrupted (2,000 of 2,500 rows are in; importing the file again is safe)\n"
    assert capsys.readouterr().err == said
