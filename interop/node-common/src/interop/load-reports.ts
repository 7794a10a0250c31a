/** Backend metrics (ORCA, gRFC A51): the report for one call, and the out-of-band report of the server. */

/** The trailer that holds the serialized report for one call. */
export const TRAILER = "endpoint-load-metrics-bin";

/**
 * The shortest interval between two reports. gRFC A51 requires 30 s in production and allows less in tests. The interop
 * servers of Go and Java use 1 s. With 0.1 s, the cases take less time.
 */
export const MIN_INTERVAL_MS = 100;

/** The fields of xds.data.orca.v3.OrcaLoadReport that the tests use. */
export interface LoadReport {
  cpuUtilization: number;
  memUtilization: number;
  requestCost: Record<string, number>;
  utilization: Record<string, number>;
}

/** grpc.testing.TestOrcaReport. */
export interface TestReport {
  cpuUtilization: number;
  memoryUtilization: number;
  requestCost: Record<string, number>;
  utilization: Record<string, number>;
}

/** Returns the report to send for the one that a test requests. */
export function loadReport(report: TestReport): LoadReport {
  const { cpuUtilization, memoryUtilization, requestCost, utilization } = report;
  return { cpuUtilization, memUtilization: memoryUtilization, requestCost, utilization };
}

/** The single out-of-band report of the server. TestService sets it and OpenRcaService sends it. */
export class LoadReports {
  current: LoadReport = { cpuUtilization: 0, memUtilization: 0, requestCost: {}, utilization: {} };
  private queue: Promise<void> = Promise.resolve();

  /** Waits for a turn to set the report, because each client expects its own. Returns a function that ends the turn. */
  async takeTurn(): Promise<() => void> {
    const before = this.queue;
    let end = (): void => undefined;
    this.queue = new Promise((resolve) => {
      end = resolve;
    });
    await before;
    return end;
  }
}
