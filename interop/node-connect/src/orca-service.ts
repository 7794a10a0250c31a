/** Out-of-band backend metrics (ORCA, gRFC A51). */

import { setTimeout as pause } from "node:timers/promises";

import type { ServiceImpl } from "@connectrpc/connect";
import { type LoadReports, MIN_INTERVAL_MS } from "samehost-interop-common/interop/load-reports";

import type { OpenRcaService } from "./gen/samehost/interop/orca_service_pb.js";

export function orcaService(reports: LoadReports): ServiceImpl<typeof OpenRcaService> {
  return {
    async *streamCoreMetrics({ reportInterval }, { signal }) {
      const requestedMs = Number(reportInterval?.seconds ?? 0n) * 1000 + (reportInterval?.nanos ?? 0) / 1e6;
      for (;;) {
        yield reports.current;
        await pause(Math.max(requestedMs, MIN_INTERVAL_MS), undefined, { signal });
      }
    },
  };
}
