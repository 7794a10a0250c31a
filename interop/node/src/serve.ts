/** The program `serve`: all services on one server. */

import { Server } from "@grpc/grpc-js";

import { LoadReports } from "samehost-interop-common/interop/load-reports";
import type { ServeOptions } from "samehost-interop-common/program";
import { ServingStatuses } from "samehost-interop-common/serving-statuses";
import { stopSignal } from "samehost-interop-common/stop-signal";
import { MAX_MESSAGE_BYTES } from "samehost-interop-common/limits";
import { HealthService } from "./gen/health/v1/health.js";
import { GreeterServiceService } from "./gen/samehost/greeter/v1/greeter.js";
import { OpenRcaServiceService } from "./gen/samehost/interop/orca_service.js";
import { TestServiceService } from "./gen/samehost/interop/testing.js";
import { greeterService } from "./greeter-service.js";
import { healthService } from "./health-service.js";
import { interopService } from "./interop-service.js";
import { listen, stop } from "./listen.js";
import { orcaService } from "./orca-service.js";
import { addReflection } from "./reflection.js";

const SERVICES = [
  "samehost.greeter.v1.GreeterService",
  "grpc.testing.TestService",
  "xds.service.orca.v3.OpenRcaService",
];

export async function serve(options: ServeOptions, ready: () => void): Promise<void> {
  const stopped = stopSignal(options.graceMs);
  const statuses = new ServingStatuses(SERVICES);
  const reports = new LoadReports();
  const server = new Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  });
  server.addService(GreeterServiceService, greeterService);
  server.addService(TestServiceService, interopService(reports));
  server.addService(OpenRcaServiceService, orcaService(reports));
  server.addService(HealthService, healthService(statuses));
  addReflection(server, [...SERVICES, "grpc.health.v1.Health"]);

  const file = await listen(server, options);
  ready();
  try {
    await Promise.race([stopped, file.takenOver, file.removed]);
  } finally {
    statuses.end();
    await stop(server, file, options.graceMs);
  }
}
