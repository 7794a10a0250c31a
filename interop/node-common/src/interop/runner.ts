/** Runs official cases one after the other and says of each how it went: a line of JSON as soon as it ends. */

import { UsageError } from "../errors.js";

/** A client that knows official cases. */
export interface Runner {
  readonly caseNames: readonly string[];
  /** Rejected with any error where the server does not do as the description says. */
  runCase(name: string, path: string): Promise<void>;
}

/** The official cases that this client does not know: they take an account of Google's cloud. */
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

/** Refuses a name that is no official case. */
export function checkCaseNames(names: readonly string[], known: readonly string[]): void {
  const all = [...known, ...NEED_GOOGLE_CREDENTIALS];
  const unknown = names.find((name) => !all.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`no case is named '${unknown}'; the official cases are ${all.join(", ")}`);
  }
}

/** Runs the cases of these names against the server at the path, and says whether all passed. */
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
