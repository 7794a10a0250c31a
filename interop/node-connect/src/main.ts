#!/usr/bin/env node

import { ConnectError } from "@connectrpc/connect";
import { explain } from "samehost-interop-common/explain";
import { makeGreetings } from "samehost-interop-common/greeter/greet";
import { run } from "samehost-interop-common/program";
import { waitForReady } from "samehost/connect";

import { dial, waitUntilReady } from "./dial.js";
import { GreeterClient } from "./greeter-client.js";
import { CASES } from "./interop-cases.js";
import { IMPLEMENTATION, listen, VERSION } from "./serve.js";
import { statusOf } from "./status.js";

await run({
  name: "samehost-interop-node-connect",
  implementation: IMPLEMENTATION,
  version: VERSION,
  cases: CASES,

  listen,

  async waitForServer(path, seconds) {
    await waitUntilReady(dial(path), path, seconds);
  },

  async greet(path, name, seconds) {
    const transport = dial(path, [waitForReady]);
    await waitUntilReady(transport, path, seconds);
    try {
      await makeGreetings(new GreeterClient(transport, seconds * 1000), name);
    } catch (error) {
      if (!(error instanceof ConnectError)) {
        throw error;
      }
      const { code, message } = statusOf(error);
      throw await explain(code, message, path);
    }
  },
});
