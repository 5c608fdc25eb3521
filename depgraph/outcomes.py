"""What the requests of a batch came to."""

from google.rpc.status_pb2 import Status

from depgraph.v1.graph_service_pb2 import BatchTraverseResponse, TraverseResponse


def outcomes(answer: BatchTraverseResponse) -> list[TraverseResponse | Status]:
    """
    List what each request came to, in the order of the requests: the traversal, or the status it failed with.

    ::

        for request, outcome in zip(requests, outcomes(answer), strict=True):
            if isinstance(outcome, TraverseResponse):
                ...

    """
    return [result.traversal if result.HasField("traversal") else result.error for result in answer.responses]
