/** The program `serve`: all services on one server. */

import { createServer } from "node:http2";

import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

import { LoadReports } from "samehost-interop-common/interop/load-reports";
import type { ServeOptions } from "samehost-interop-common/program";
import { ServingStatuses } from "samehost-interop-common/serving-statuses";
import { stopSignal } from "samehost-interop-common/stop-signal";
import { MAX_MESSAGE_BYTES } from "samehost-interop-common/limits";
import { SERVER_COMPRESSION, withMessageCompression } from "./compression.js";
import { UNLIMITED_MEMORY } from "./dial.js";
import { Health } from "./gen/health/v1/health_pb.js";
import { GreeterService } from "./gen/samehost/greeter/v1/greeter_pb.js";
import { OpenRcaService } from "./gen/samehost/interop/orca_service_pb.js";
import { TestService } from "./gen/samehost/interop/testing_pb.js";
import { greeterService } from "./greeter-service.js";
import { healthService } from "./health-service.js";
import { interopService } from "./interop-service.js";
import { Listener } from "./listen.js";
import { orcaService } from "./orca-service.js";

export async function serve(options: ServeOptions, ready: () => void): Promise<void> {
  const stopped = stopSignal(options.graceMs);
  const statuses = new ServingStatuses([GreeterService, TestService, OpenRcaService].map(({ typeName }) => typeName));
  const handler = connectNodeAdapter({
    ...SERVER_COMPRESSION,
    connect: false,
    grpcWeb: false,
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    routes: (router) => {
      addServices(router, statuses);
    },
  });
  const server = createServer({ maxSessionMemory: UNLIMITED_MEMORY }, (request, response) => {
    // Clients on C-core send the path, of which the adapter can make no URL: it throws, and the connection breaks.
    request.headers[":authority"] = "localhost";
    handler(request, response);
  });

  const listener = await Listener.listen(server, options);
  ready();
  try {
    await Promise.race([stopped, listener.takenOver, listener.removed]);
  } finally {
    statuses.end();
    await listener.stop(options.graceMs);
  }
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
