/**
 * Backend metrics (ORCA, gRFC A51) out of band. grpc-js has a ServerMetricRecorder, which can't report the use of memory and
 * waits a whole interval before the first report.
 */

import { setTimeout as pause } from "node:timers/promises";

import { type LoadReports, MIN_INTERVAL_MS } from "samehost-interop-common/interop/load-reports";

import { OrcaLoadReport } from "./gen/samehost/interop/orca_load_report.js";
import type { OpenRcaServiceServer } from "./gen/samehost/interop/orca_service.js";
import { serverStreaming } from "./handlers.js";

export function orcaService(reports: LoadReports): OpenRcaServiceServer {
  return {
    streamCoreMetrics: serverStreaming(async function* ({ reportInterval }, { signal }) {
      const asked = (reportInterval?.seconds ?? 0) * 1000 + (reportInterval?.nanos ?? 0) / 1e6;
      for (;;) {
        yield OrcaLoadReport.fromPartial(reports.current);
        await pause(Math.max(asked, MIN_INTERVAL_MS), undefined, { signal });
      }
    }),
  };
}
