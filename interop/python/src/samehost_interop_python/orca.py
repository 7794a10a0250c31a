"""Implements backend metrics (ORCA, gRFC A51): load reports for one call, or out of band while a client listens."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc

from samehost.interop import orca_load_report_pb2, orca_service_pb2, orca_service_pb2_grpc, testing_pb2

TRAILER = "endpoint-load-metrics-bin"
"""The trailer with the serialized report of one call (gRFC A51)."""

MIN_INTERVAL_SECONDS = 0.1
"""The shortest interval between reports. gRFC A51 sets 30 s for production and allows less in tests. The interop
servers of Go and Java use 1 s. With 0.1 s a case ends sooner, and ten small messages per second cost nothing."""


def load_report(report: testing_pb2.TestOrcaReport) -> orca_load_report_pb2.OrcaLoadReport:
    """Convert a report of a test request to the message on the wire."""
    return orca_load_report_pb2.OrcaLoadReport(
        cpu_utilization=report.cpu_utilization,
        mem_utilization=report.memory_utilization,
        request_cost=report.request_cost,
        utilization=report.utilization,
    )


class LoadReports:
    """The server's one out-of-band report. TestService sets it, and OpenRcaService sends it."""

    def __init__(self) -> None:
        self.current = orca_load_report_pb2.OrcaLoadReport()


class OpenRcaService(orca_service_pb2_grpc.OpenRcaServiceServicer):
    """Send the report, with one thread for each listener."""

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports

    def StreamCoreMetrics(
        self, request: orca_service_pb2.OrcaLoadReportRequest, context: grpc.ServicerContext
    ) -> Iterator[orca_load_report_pb2.OrcaLoadReport]:
        """Send the report at once, and then once per interval."""
        over = threading.Event()
        if not context.add_callback(over.set):
            return
        yield self._reports.current
        while not over.wait(_interval(request)):
            yield self._reports.current


class AsyncOpenRcaService(orca_service_pb2_grpc.OpenRcaServiceServicer):
    """Send the report in an event loop."""

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports

    async def StreamCoreMetrics(
        self, request: orca_service_pb2.OrcaLoadReportRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[orca_load_report_pb2.OrcaLoadReport]:
        """Send the report at once, and then once per interval."""
        while True:
            yield self._reports.current
            await asyncio.sleep(_interval(request))


def _interval(request: orca_service_pb2.OrcaLoadReportRequest) -> float:
    return max(request.report_interval.seconds + request.report_interval.nanos / 1e9, MIN_INTERVAL_SECONDS)
