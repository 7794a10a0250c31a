#!/usr/bin/env node

import { status } from "@grpc/grpc-js";
import { explain } from "samehost-interop-common/explain";
import { makeGreetings } from "samehost-interop-common/greeter/greet";
import { run } from "samehost-interop-common/program";

import { isServiceError } from "./calls.js";
import { dial, waitUntilReady } from "./dial.js";
import { GreeterClient } from "./greeter-client.js";
import { CASES } from "./interop-cases.js";
import { IMPLEMENTATION, listen, VERSION } from "./serve.js";

await run({
  name: "samehost-interop-node",
  implementation: IMPLEMENTATION,
  version: VERSION,
  cases: CASES,

  listen,

  async waitForServer(path, seconds) {
    const channel = dial(path);
    await waitUntilReady(channel, path, seconds);
    channel.close();
  },

  async greet(path, name, seconds) {
    const channel = dial(path);
    await waitUntilReady(channel, path, seconds);
    try {
      await makeGreetings(new GreeterClient(channel, seconds * 1000), name);
    } catch (error) {
      throw isServiceError(error) ? await explain(status[error.code], error.details, path) : error;
    }
  },
});
