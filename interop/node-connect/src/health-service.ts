/** grpc.health.v1.Health (grpc/grpc doc/health-checking.md), which Connect for Node.js does not implement. */

import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { ServingStatuses } from "samehost-interop-common/serving-statuses";

import { type Health, HealthCheckResponse_ServingStatus } from "./gen/health/v1/health_pb.js";

export function healthService(statuses: ServingStatuses): Pick<ServiceImpl<typeof Health>, "check" | "watch"> {
  return {
    check({ service }) {
      const fault = statuses.fault(service);
      if (fault !== undefined) {
        throw new ConnectError(fault, Code.NotFound);
      }
      return { status: HealthCheckResponse_ServingStatus[statuses.status(service)] };
    },

    async *watch({ service }, { signal }) {
      for await (const status of statuses.watch(service, signal)) {
        yield { status: HealthCheckResponse_ServingStatus[status] };
      }
    },
  };
}
