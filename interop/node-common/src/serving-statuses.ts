/** What grpc.health.v1.Health says of each service by name; the empty name is the server as a whole. */

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

  /** Says NOT_SERVING of everything for good, and ends every watch. */
  end(): void {
    this.stopping.abort();
  }

  /** Why a check of the service has no answer; undefined if it has one. */
  fault(service: string): string | undefined {
    return this.services.has(service) ? undefined : `no service '${service}' is served here`;
  }

  status(service: string): ServingStatus {
    if (!this.services.has(service)) {
      return "SERVICE_UNKNOWN";
    }
    return this.stopping.signal.aborted ? "NOT_SERVING" : "SERVING";
  }

  /** The status of a service, and once more when the server ends; no more when the caller leaves. */
  async *watch(service: string, left: AbortSignal): AsyncGenerator<ServingStatus> {
    const first = this.status(service);
    yield first;
    await Promise.race([this.stopped, aborted(left)]);
    const last = this.status(service);
    if (last !== first) {
      yield last;
    }
  }
}
