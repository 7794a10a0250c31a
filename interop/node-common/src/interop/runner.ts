/** Runs official cases one after the other, and prints the result of each as a line of JSON as soon as it ends. */

import { UsageError } from "../errors.js";

/** A client that can run official cases. */
export interface Runner {
  readonly caseNames: readonly string[];
  /** Runs a case. The promise is rejected if the server does not behave as the description of the case requires. */
  runCase(name: string, path: string): Promise<void>;
}

/** The official cases that this client cannot run, because they need a Google Cloud account. */
const NEED_GOOGLE_CREDENTIALS = [
  "compute_engine_channel_credentials",
  "compute_engine_creds",
  "google_default_credentials",
  "jwt_token_creds",
  "oauth2_auth_token",
  "per_rpc_creds",
];

interface Result {
  case: string;
  result: "pass" | "fail" | "unimplemented";
  detail: string;
  ms: number;
}

/** Throws UsageError if a name is not an official case. */
export function checkCaseNames(names: readonly string[], known: readonly string[]): void {
  const all = [...known, ...NEED_GOOGLE_CREDENTIALS];
  const unknown = names.find((name) => !all.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`unknown case '${unknown}': use one of ${all.join(", ")}`);
  }
}

/** Runs the named cases against the server on the path, and returns whether all passed. */
export async function runCases(runner: Runner, names: readonly string[], path: string): Promise<boolean> {
  let allPassed = true;
  for (const name of names) {
    const result = await runCase(runner, name, path);
    process.stdout.write(`${JSON.stringify(result)}\n`);
    allPassed &&= result.result === "pass";
  }
  return allPassed;
}

async function runCase(runner: Runner, name: string, path: string): Promise<Result> {
  if (!runner.caseNames.includes(name)) {
    const detail = "this client does not know the case: it needs Google credentials";
    return { case: name, result: "unimplemented", detail, ms: 0 };
  }
  const started = performance.now();
  const detail = await runner.runCase(name, path).then(
    () => "",
    (error: unknown) => (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").trim(),
  );
  const ms = Math.round((performance.now() - started) * 10) / 10;
  return { case: name, result: detail === "" ? "pass" : "fail", detail, ms };
}
