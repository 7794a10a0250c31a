"""Implements backend metrics (ORCA, gRFC A51): load reports for one call, or out of band while a client listens."""

import asyncio
from typing import TYPE_CHECKING

from samehost.interop.orca_load_report_pb2 import OrcaLoadReport
from samehost.interop.orca_service_grpc import OpenRcaServiceBase
from samehost.interop.testing_pb2 import TestOrcaReport
from samehost_interop_grpclib.receiving import the_request

if TYPE_CHECKING:
    from grpclib.server import Stream

    from samehost.interop.orca_service_pb2 import OrcaLoadReportRequest

TRAILER = "endpoint-load-metrics-bin"
"""The trailer with the serialized report of one call (gRFC A51)."""

_MIN_INTERVAL_SECONDS = 0.1
"""The shortest interval between reports. gRFC A51 sets 30 s for production and allows less in tests."""


def load_report(report: TestOrcaReport) -> OrcaLoadReport:
    """Convert a report of a test request to the message on the wire."""
    return OrcaLoadReport(
        cpu_utilization=report.cpu_utilization,
        mem_utilization=report.memory_utilization,
        request_cost=report.request_cost,
        utilization=report.utilization,
    )


class LoadReports:
    """The server's one out-of-band report. TestService sets it, and OpenRcaService sends it.

    Take `turn` before you set it, because each client expects its own report.
    """

    def __init__(self) -> None:
        self.current = OrcaLoadReport()
        self.turn = asyncio.Lock()


class OpenRcaService(OpenRcaServiceBase):
    """Send the out-of-band report."""

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports

    async def StreamCoreMetrics(self, stream: "Stream[OrcaLoadReportRequest, OrcaLoadReport]") -> None:
        """Send the report at once, and then once per interval until the client cancels."""
        request = await the_request(stream)
        interval = request.report_interval.seconds + request.report_interval.nanos / 1e9
        while True:
            await stream.send_message(self._reports.current)
            await asyncio.sleep(max(interval, _MIN_INTERVAL_SECONDS))
