/** Backend metrics (ORCA, gRFC A51): what goes with one call, and the server's report out of band. */

/** The trailer with one call's serialized report. */
export const TRAILER = "endpoint-load-metrics-bin";

/**
 * How often a report is sent at most. gRFC A51 has 30 s for production and lets tests have less; the interop servers of Go
 * and Java take 1 s. With 0.1 s a case is done the sooner.
 */
export const MIN_INTERVAL_MS = 100;

/** The part of xds.data.orca.v3.OrcaLoadReport that the tests ask for. */
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

/** The report on the wire for the one that a test asks for. */
export function loadReport(report: TestReport): LoadReport {
  const { cpuUtilization, memoryUtilization, requestCost, utilization } = report;
  return { cpuUtilization, memUtilization: memoryUtilization, requestCost, utilization };
}

/** The server's report out of band: there is one, which TestService sets and OpenRcaService sends. */
export class LoadReports {
  current: LoadReport = { cpuUtilization: 0, memUtilization: 0, requestCost: {}, utilization: {} };
  private queue: Promise<void> = Promise.resolve();

  /** Waits for a turn to set the report, as each client expects its own; returns what ends the turn. */
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
