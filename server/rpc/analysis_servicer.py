"""AnalysisService: what the graph is kept for, from memory."""

from depgraph.v1.analysis_service_pb2_grpc import AnalysisServiceServicer
from server.config import Limits
from server.rpc.analyses import Analyses
from server.rpc.ports import LiveGraph


class AnalysisServicer(AnalysisServiceServicer):
    """Reads questions, has them answered aside, and writes answers; each question has a module of its own."""

    def __init__(self, live: LiveGraph, limits: Limits) -> None:
        self._live = live
        self._analyses = Analyses(live)
        self._limits = limits
