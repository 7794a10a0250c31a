/**
 * Out-of-band backend metrics (ORCA, gRFC A51). The ServerMetricRecorder of grpc-js cannot report memory utilization,
 * and waits for a whole interval before the first report.
 */

import { setTimeout as pause } from "node:timers/promises";

import { type LoadReports, MIN_INTERVAL_MS } from "samehost-interop-common/interop/load-reports";

import { OrcaLoadReport } from "./gen/samehost/interop/orca_load_report.js";
import type { OpenRcaServiceServer } from "./gen/samehost/interop/orca_service.js";
import { serverStreaming } from "./handlers.js";

export function orcaService(reports: LoadReports): OpenRcaServiceServer {
  return {
    streamCoreMetrics: serverStreaming(async function* ({ reportInterval }, { signal }) {
      const requestedMs = (reportInterval?.seconds ?? 0) * 1000 + (reportInterval?.nanos ?? 0) / 1e6;
      for (;;) {
        yield OrcaLoadReport.fromPartial(reports.current);
        await pause(Math.max(requestedMs, MIN_INTERVAL_MS), undefined, { signal });
      }
    }),
  };
}
