/** Serves all services on one server. */

import { readFileSync } from "node:fs";

import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Listener, ListenOptions } from "samehost";
import { listen as listenOnSocket } from "samehost/connect";
import { LoadReports } from "samehost-interop-common/interop/load-reports";
import type { ServingStatuses } from "samehost-interop-common/serving-statuses";

import { SERVER_COMPRESSION, withMessageCompression } from "./compression.js";
import { MESSAGE_LIMITS } from "./dial.js";
import { Health } from "./gen/health/v1/health_pb.js";
import { GreeterService } from "./gen/samehost/greeter/v1/greeter_pb.js";
import { OpenRcaService } from "./gen/samehost/interop/orca_service_pb.js";
import { TestService } from "./gen/samehost/interop/testing_pb.js";
import { greeterService } from "./greeter-service.js";
import { healthService } from "./health-service.js";
import { interopService } from "./interop-service.js";
import { orcaService } from "./orca-service.js";

export const IMPLEMENTATION = "connect-node";
export const VERSION = libraryVersion();

export function listen(path: string, options: ListenOptions, statuses: ServingStatuses): Promise<Listener> {
  const handler = connectNodeAdapter({
    ...SERVER_COMPRESSION,
    ...MESSAGE_LIMITS,
    connect: false,
    grpcWeb: false,
    routes: (router) => {
      addServices(router, statuses);
    },
  });
  return listenOnSocket(handler, path, options);
}

function addServices(router: ConnectRouter, statuses: ServingStatuses): void {
  const reports = new LoadReports();
  router.service(GreeterService, greeterService);
  router.service(TestService, interopService(reports));
  router.service(OpenRcaService, orcaService(reports));
  router.service(Health, healthService(statuses));
  for (const [position, handler] of router.handlers.entries()) {
    if (handler.service === TestService) {
      router.handlers[position] = withMessageCompression(handler);
    }
  }
}

/** Finds package.json through the entry point, because the package does not export it. */
function libraryVersion(): string {
  const entry = import.meta.resolve("@connectrpc/connect-node"); // .../dist/esm/index.js
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", entry), "utf8")) as { version: string };
  return manifest.version;
}
