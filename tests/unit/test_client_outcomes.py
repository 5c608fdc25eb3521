"""The outcomes of a batch, as a client takes them out."""

from google.rpc.status_pb2 import Status

from depgraph import outcomes
from depgraph.v1.graph_service_pb2 import BatchTraverseResponse, BatchTraverseResult, TraverseResponse


def test_each_request_has_its_traversal_or_its_status_in_order() -> None:
    traversal, status = TraverseResponse(service_ids=["a"]), Status(code=5, message="no service named 'b'")
    answer = BatchTraverseResponse(
        responses=[
            BatchTraverseResult(traversal=traversal),
            BatchTraverseResult(error=status),
            BatchTraverseResult(traversal=TraverseResponse()),
        ]
    )
    assert outcomes(answer) == [traversal, status, TraverseResponse()]


def test_an_empty_result_is_an_empty_status() -> None:
    assert outcomes(BatchTraverseResponse(responses=[BatchTraverseResult()])) == [Status()]
