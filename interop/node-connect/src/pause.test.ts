import assert from "node:assert/strict";
import { it } from "node:test";

import { ConnectError } from "@connectrpc/connect";

import { pause } from "./pause.js";

it("ends a pause with the reason for which the call ended", async () => {
  const call = new AbortController();
  const pausing = pause(60_000, call.signal);
  const ended = new ConnectError("the operation timed out");
  call.abort(ended);
  await assert.rejects(pausing, ended);
});
