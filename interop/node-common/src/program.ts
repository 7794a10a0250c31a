/** The command line of both peers: options, exit codes and one-line errors, as PROTOCOL.md defines them. */

import { spawnSync } from "node:child_process";
import { inspect } from "node:util";

import { Command, CommanderError } from "commander";
import { AddressError, parseAddress, SamehostError } from "samehost";

import { FailureError, UsageError } from "./errors.js";
import { checkCaseNames, type Runner, runCases } from "./interop/runner.js";
import { type Listen, serve, type ServeOptions } from "./serve.js";

/** The operations of a peer. When one fails, its promise is rejected with a SamehostError or FailureError. */
export interface Peer {
  readonly name: string;
  /** The gRPC library, for the ready line. */
  readonly implementation: string;
  readonly version: string;
  readonly listen: Listen;
  /** Makes all four kinds of call of Greeter and prints the messages. */
  greet(path: string, name: string, timeoutSeconds: number): Promise<void>;
  /** Waits until a server is ready. */
  waitForServer(path: string, seconds: number): Promise<void>;
  readonly cases: Runner;
}

/** The options of `serve` on the command line. */
interface ServeArguments {
  readonly socket: string;
  readonly mode: number;
  readonly group?: number;
  readonly grace: number;
  readonly trustFolder: boolean;
  readonly takeover: boolean;
  readonly onRemoved: ServeOptions["onRemoved"];
}

/** The time to wait for the server before the first case. */
const WAIT_SECONDS = 5;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Runs the program and exits. */
export async function run(peer: Peer): Promise<never> {
  process.stdout.on("error", () => process.exit(EXIT_FAILED)); // the reader of the output has exited
  try {
    await commandLine(peer).parseAsync();
  } catch (error) {
    fail(peer.name, error);
  }
  // An idle connection would keep the program running.
  process.exit();
}

function commandLine(peer: Peer): Command {
  const program = new Command(peer.name)
    .description(`The ${peer.implementation} peer of the interop matrix.`)
    .configureOutput({ outputError: () => undefined })
    .exitOverride();

  program
    .command("serve")
    .description(
      "Serves Greeter, grpc.testing.TestService, OpenRcaService and health until SIGTERM, SIGINT or a takeover.",
    )
    .requiredOption("--socket <path>", "absolute path of the socket", parseAddress)
    .option("--mode <octal>", "permissions of the socket", parseMode, 0o660)
    .option("--group <group>", "group of the socket, a name or a number (default: the group of the process)", groupId)
    .option("--grace <seconds>", "time for calls in progress to finish", parseGrace, 5)
    .option("--trust-folder", "serve in a folder that every user can write to", false)
    .option("--takeover", "replace the server on the path, which drains and exits", false)
    .option("--on-removed <serve|stop>", "what to do when someone removes the socket", parseOnRemoved, "serve")
    .action(async ({ socket, group, grace, ...others }: ServeArguments) => {
      const owner = `${peer.implementation} ${peer.version}`;
      await serve(peer.listen, { path: socket, gid: group, graceMs: grace * 1000, owner, ...others }, () => {
        printReady(peer, socket);
      });
    });

  program
    .command("greet")
    .description("Makes all four kinds of call of Greeter and prints the messages.")
    .requiredOption("--socket <path>", "absolute path of the socket", parseAddress)
    .requiredOption("--name <name>", "name to greet")
    .option("--timeout <seconds>", "time to wait for the server, and for each call", parseTimeout, 5)
    .action(async ({ socket, name, timeout }: { socket: string; name: string; timeout: number }) => {
      await peer.greet(socket, name, timeout);
    });

  program
    .command("interop")
    .description("Runs official cases and prints a line of JSON for each. Exits with 0 if all passed.")
    .requiredOption("--socket <path>", "absolute path of the socket", parseAddress)
    .requiredOption(
      "--case <name>",
      "an official case; can be repeated",
      (name, names: string[]) => [...names, name],
      [],
    )
    .action(async ({ socket, case: names }: { socket: string; case: string[] }) => {
      checkCaseNames(names, peer.cases.caseNames);
      await peer.waitForServer(socket, WAIT_SECONDS);
      process.exitCode = (await runCases(peer.cases, names, socket)) ? 0 : EXIT_FAILED;
    });

  return program;
}

function printReady({ implementation, version }: Peer, path: string): void {
  const line = { event: "ready", address: `unix:${path}`, pid: process.pid, implementation, version };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function parseMode(text: string): number {
  const mode = /^(0o)?[0-7]+$/.test(text) ? Number.parseInt(text.replace("0o", ""), 8) : NaN;
  if (!(mode <= 0o777)) {
    throw new UsageError(`invalid mode ${inspect(text)}: use an octal number, 0000 to 0777`);
  }
  return mode;
}

function parseGrace(text: string): number {
  const seconds = parseSeconds(text);
  if (!(seconds >= 0)) {
    throw new UsageError(`invalid grace ${inspect(text)}: use seconds, 0 or more`);
  }
  return seconds;
}

function parseOnRemoved(text: string): ServeOptions["onRemoved"] {
  if (text !== "serve" && text !== "stop") {
    throw new UsageError(`invalid --on-removed ${inspect(text)}: use serve or stop`);
  }
  return text;
}

function parseTimeout(text: string): number {
  const seconds = parseSeconds(text);
  if (!(seconds > 0)) {
    throw new UsageError(`invalid timeout ${inspect(text)}: use seconds, more than 0`);
  }
  return seconds;
}

function parseSeconds(text: string): number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
}

/** Returns the number of a group. Node.js cannot look up names, so getent(1) asks the databases of the system. */
function groupId(group: string): number {
  if (/^\d+$/.test(group)) {
    return Number(group);
  }
  const found = spawnSync("getent", ["group", group], { encoding: "utf8" });
  const gid = found.status === 0 ? found.stdout.split(":")[2] : undefined;
  if (gid === undefined) {
    throw new UsageError(`invalid group ${inspect(group)}: no group has this name; create it, or use its number`);
  }
  return Number(gid);
}

function fail(program: string, error: unknown): never {
  if (error instanceof CommanderError && error.exitCode === 0) {
    process.exit(0); // --help
  }
  const isUsage = [UsageError, AddressError, CommanderError].some((kind) => error instanceof kind);
  if (!(isUsage || error instanceof SamehostError || error instanceof FailureError)) {
    throw error; // a bug, so a stack trace helps
  }
  const message = (error as Error).message
    .replace(/^error: /, "")
    .replace(/\s+/g, " ")
    .trim();
  const socket = process.argv[process.argv.indexOf("--socket") + 1] ?? "";
  const subject = process.argv.includes("--socket") && !message.includes(socket) ? `; the socket is ${socket}` : "";
  process.stderr.write(`${program}: ${message}${subject}\n`);
  process.exit(isUsage ? EXIT_USAGE : EXIT_FAILED);
}
