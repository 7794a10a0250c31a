"""Backend metrics (ORCA, gRFC A51): a load report with one call, or out of band for as long as one listens."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc

from samehost.interop import orca_load_report_pb2, orca_service_pb2, orca_service_pb2_grpc, testing_pb2

TRAILER = "endpoint-load-metrics-bin"
"""The trailer with one call's serialized report (gRFC A51)."""

MIN_INTERVAL_SECONDS = 0.1
"""How often a report is sent at most. gRFC A51 has 30 s for production and lets tests have less; the interop
servers of Go and Java take 1 s. With 0.1 s a case is done the sooner, and ten small messages a second cost nothing."""


def load_report(report: testing_pb2.TestOrcaReport) -> orca_load_report_pb2.OrcaLoadReport:
    """The report on the wire for the one that a test asks for."""
    return orca_load_report_pb2.OrcaLoadReport(
        cpu_utilization=report.cpu_utilization,
        mem_utilization=report.memory_utilization,
        request_cost=report.request_cost,
        utilization=report.utilization,
    )


class LoadReports:
    """The server's report out of band: one, which TestService sets and OpenRcaService sends."""

    def __init__(self) -> None:
        self.current = orca_load_report_pb2.OrcaLoadReport()


class OpenRcaService(orca_service_pb2_grpc.OpenRcaServiceServicer):
    """Sends the report, one thread for each listener."""

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports

    def StreamCoreMetrics(
        self, request: orca_service_pb2.OrcaLoadReportRequest, context: grpc.ServicerContext
    ) -> Iterator[orca_load_report_pb2.OrcaLoadReport]:
        """Sends the report at once, then once in each interval."""
        over = threading.Event()
        if not context.add_callback(over.set):
            return
        yield self._reports.current
        while not over.wait(_interval(request)):
            yield self._reports.current


class AsyncOpenRcaService(orca_service_pb2_grpc.OpenRcaServiceServicer):
    """Sends the report, in an event loop."""

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports

    async def StreamCoreMetrics(
        self, request: orca_service_pb2.OrcaLoadReportRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[orca_load_report_pb2.OrcaLoadReport]:
        """Sends the report at once, then once in each interval."""
        while True:
            yield self._reports.current
            await asyncio.sleep(_interval(request))


def _interval(request: orca_service_pb2.OrcaLoadReportRequest) -> float:
    return max(request.report_interval.seconds + request.report_interval.nanos / 1e9, MIN_INTERVAL_SECONDS)
