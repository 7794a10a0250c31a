/**
 * grpc.health.v1.Health (grpc/grpc doc/health-checking.md). The package grpc-health-check implements it too. But its
 * watches do not end with NOT_SERVING, so a stopping server with a watch would wait for the whole grace.
 */

import { status as Status } from "@grpc/grpc-js";
import type { ServingStatuses } from "samehost-interop-common/serving-statuses";

import { HealthCheckResponse_ServingStatus, type HealthServer } from "./gen/health/v1/health.js";
import { serverStreaming, StatusError, unary } from "./handlers.js";

export function healthService(statuses: ServingStatuses): Pick<HealthServer, "check" | "watch"> {
  return {
    check: unary(({ service }) => {
      const fault = statuses.fault(service);
      if (fault !== undefined) {
        throw new StatusError(Status.NOT_FOUND, fault);
      }
      return { status: HealthCheckResponse_ServingStatus[statuses.status(service)] };
    }),

    watch: serverStreaming(async function* ({ service }, { signal }) {
      for await (const status of statuses.watch(service, signal)) {
        yield { status: HealthCheckResponse_ServingStatus[status] };
      }
    }),
  };
}
