/** Serves all services on one server. */

import { createRequire } from "node:module";

import { Server } from "@grpc/grpc-js";
import type { Listener, ListenOptions } from "samehost";
import { listen as listenOnSocket } from "samehost/grpc-js";
import { LoadReports } from "samehost-interop-common/interop/load-reports";
import { SERVICES } from "samehost-interop-common/serve";
import type { ServingStatuses } from "samehost-interop-common/serving-statuses";

import { MESSAGE_LIMITS } from "./dial.js";
import { HealthService } from "./gen/health/v1/health.js";
import { GreeterServiceService } from "./gen/samehost/greeter/v1/greeter.js";
import { OpenRcaServiceService } from "./gen/samehost/interop/orca_service.js";
import { TestServiceService } from "./gen/samehost/interop/testing.js";
import { greeterService } from "./greeter-service.js";
import { healthService } from "./health-service.js";
import { interopService } from "./interop-service.js";
import { orcaService } from "./orca-service.js";
import { addReflection } from "./reflection.js";

export const IMPLEMENTATION = "grpc-js";
export const VERSION = (createRequire(import.meta.url)("@grpc/grpc-js/package.json") as { version: string }).version;

export function listen(path: string, options: ListenOptions, statuses: ServingStatuses): Promise<Listener> {
  const reports = new LoadReports();
  const server = new Server(MESSAGE_LIMITS);
  server.addService(GreeterServiceService, greeterService);
  server.addService(TestServiceService, interopService(reports));
  server.addService(OpenRcaServiceService, orcaService(reports));
  server.addService(HealthService, healthService(statuses));
  addReflection(server, [...SERVICES, "grpc.health.v1.Health"]);
  return listenOnSocket(server, path, options);
}
