/** The health of each service by name, for grpc.health.v1.Health. The empty name is the server as a whole. */

import { aborted } from "./aborted.js";

/** The names of grpc.health.v1.HealthCheckResponse.ServingStatus. */
type ServingStatus = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

export class ServingStatuses {
  private readonly services: ReadonlySet<string>;
  private readonly stopping = new AbortController();
  private readonly stopped = aborted(this.stopping.signal);

  constructor(services: readonly string[]) {
    this.services = new Set(["", ...services]);
  }

  /** Sets all services to NOT_SERVING for good, and ends every watch. */
  end(): void {
    this.stopping.abort();
  }

  /** Returns an error message if the service is unknown. */
  fault(service: string): string | undefined {
    return this.services.has(service) ? undefined : `this server has no service '${service}'`;
  }

  status(service: string): ServingStatus {
    if (!this.services.has(service)) {
      return "SERVICE_UNKNOWN";
    }
    return this.stopping.signal.aborted ? "NOT_SERVING" : "SERVING";
  }

  /** Yields the status of a service, and the new status when the server stops. Ends when the caller cancels. */
  async *watch(service: string, cancelled: AbortSignal): AsyncGenerator<ServingStatus> {
    const first = this.status(service);
    yield first;
    await Promise.race([this.stopped, aborted(cancelled)]);
    const last = this.status(service);
    if (last !== first) {
      yield last;
    }
  }
}
