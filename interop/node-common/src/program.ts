/** The command line of both peers: options, exit codes and one-line errors, as PROTOCOL.md has them. */

import { spawnSync } from "node:child_process";
import { inspect } from "node:util";

import { Command, CommanderError } from "commander";
import { AddressError, parseAddress, SamehostError } from "samehost";

import { FailureError, UsageError } from "./errors.js";
import { checkCaseNames, type Runner, runCases } from "./interop/runner.js";
import { type Listen, serve, type ServeOptions } from "./serve.js";

/** What a peer does; each promise is rejected with a SamehostError or FailureError where it fails. */
export interface Peer {
  readonly name: string;
  /** The gRPC library, for the ready line. */
  readonly implementation: string;
  readonly version: string;
  readonly listen: Listen;
  /** Makes all four kinds of call of Greeter and prints what was said. */
  greet(path: string, name: string, timeoutSeconds: number): Promise<void>;
  /** Waits for a server. */
  waitForServer(path: string, seconds: number): Promise<void>;
  readonly cases: Runner;
}

/** The options of `serve` as they are written. */
interface ServeArguments {
  readonly socket: string;
  readonly mode: number;
  readonly group?: number;
  readonly grace: number;
  readonly trustFolder: boolean;
  readonly takeover: boolean;
  readonly onRemoved: ServeOptions["onRemoved"];
}

/** How long to wait for the server before the first case. */
const WAIT_SECONDS = 5;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Runs the program and exits. */
export async function run(peer: Peer): Promise<never> {
  process.stdout.on("error", () => process.exit(EXIT_FAILED)); // whoever read our output has gone
  try {
    await commandLine(peer).parseAsync();
  } catch (error) {
    fail(peer.name, error);
  }
  // An idle connection must not keep the program alive.
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
    .option("--group <group>", "group of the socket, a name or a number; by default the process's", groupId)
    .option("--grace <seconds>", "how long calls have to finish", parseGrace, 5)
    .option("--trust-folder", "serve in a folder that every user may write to", false)
    .option("--takeover", "take the path over from a server that has it, which drains and goes", false)
    .option("--on-removed <serve|stop>", "what to do when someone removes the path", parseOnRemoved, "serve")
    .action(async ({ socket, group, grace, ...others }: ServeArguments) => {
      const owner = `${peer.implementation} ${peer.version}`;
      await serve(peer.listen, { path: socket, gid: group, graceMs: grace * 1000, owner, ...others }, () => {
        printReady(peer, socket);
      });
    });

  program
    .command("greet")
    .description("Makes all four kinds of call of Greeter and prints what was said.")
    .requiredOption("--socket <path>", "absolute path of the socket", parseAddress)
    .requiredOption("--name <name>", "who is greeted")
    .option("--timeout <seconds>", "how long to wait for the server, and for each call", parseTimeout, 5)
    .action(async ({ socket, name, timeout }: { socket: string; name: string; timeout: number }) => {
      await peer.greet(socket, name, timeout);
    });

  program
    .command("interop")
    .description("Runs official cases and prints a line of JSON for each; the exit code is 0 if all passed.")
    .requiredOption("--socket <path>", "absolute path of the socket", parseAddress)
    .requiredOption(
      "--case <name>",
      "an official case; may be given again",
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
    throw new UsageError(`mode ${inspect(text)} is none that a socket can have; write it in octal, 0000 to 0777`);
  }
  return mode;
}

function parseGrace(text: string): number {
  const seconds = parseSeconds(text);
  if (!(seconds >= 0)) {
    throw new UsageError(`grace ${inspect(text)} is no time to wait; give seconds, 0 or more`);
  }
  return seconds;
}

function parseOnRemoved(text: string): ServeOptions["onRemoved"] {
  if (text !== "serve" && text !== "stop") {
    throw new UsageError(`${inspect(text)} is nothing to do when the path is removed; give serve or stop`);
  }
  return text;
}

function parseTimeout(text: string): number {
  const seconds = parseSeconds(text);
  if (!(seconds > 0)) {
    throw new UsageError(`timeout ${inspect(text)} is no time to wait; give seconds, more than 0`);
  }
  return seconds;
}

function parseSeconds(text: string): number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
}

/** The number of a group. Node.js knows no group names; getent(1) asks whatever the system is set up to ask. */
function groupId(group: string): number {
  if (/^\d+$/.test(group)) {
    return Number(group);
  }
  const found = spawnSync("getent", ["group", group], { encoding: "utf8" });
  const gid = found.status === 0 ? found.stdout.split(":")[2] : undefined;
  if (gid === undefined) {
    throw new UsageError(`no group is named ${inspect(group)} on this machine; create it, or give its number`);
  }
  return Number(gid);
}

function fail(program: string, error: unknown): never {
  if (error instanceof CommanderError && error.exitCode === 0) {
    process.exit(0); // --help was asked for
  }
  const isUsage = [UsageError, AddressError, CommanderError].some((kind) => error instanceof kind);
  if (!(isUsage || error instanceof SamehostError || error instanceof FailureError)) {
    throw error; // a bug, and worth a stack trace
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
