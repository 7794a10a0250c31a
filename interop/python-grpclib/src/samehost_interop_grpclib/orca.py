"""Backend metrics (ORCA, gRFC A51): a load report with one call, or out of band for as long as one listens."""

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
"""The trailer with one call's serialized report (gRFC A51)."""

_MIN_INTERVAL_SECONDS = 0.1
"""How often a report is sent at most. gRFC A51 has 30 s for production, and lets tests have less."""


def load_report(report: TestOrcaReport) -> OrcaLoadReport:
    """The report on the wire for the one that a test asks for."""
    return OrcaLoadReport(
        cpu_utilization=report.cpu_utilization,
        mem_utilization=report.memory_utilization,
        request_cost=report.request_cost,
        utilization=report.utilization,
    )


class LoadReports:
    """The server's report out of band: one, which TestService sets and OpenRcaService sends.

    Who sets it has its turn first, as each client expects its own.
    """

    def __init__(self) -> None:
        self.current = OrcaLoadReport()
        self.turn = asyncio.Lock()


class OpenRcaService(OpenRcaServiceBase):
    """Sends the report."""

    def __init__(self, reports: LoadReports) -> None:
        self._reports = reports

    async def StreamCoreMetrics(self, stream: "Stream[OrcaLoadReportRequest, OrcaLoadReport]") -> None:
        """Sends the report at once, then once in each interval, until the caller leaves."""
        request = await the_request(stream)
        interval = request.report_interval.seconds + request.report_interval.nanos / 1e9
        while True:
            await stream.send_message(self._reports.current)
            await asyncio.sleep(max(interval, _MIN_INTERVAL_SECONDS))
