import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";

import { AddressError, diagnose, NoServerError, NotGrpcError, NotSocketError, probe } from "./index.js";

describe("diagnose", () => {
  let folder: string;
  let path: string;
  let listener: Server;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "diagnose-"));
    path = join(folder, "app.sock");
    listener = createServer((connection) => {
      connection.on("error", () => undefined).end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
  });

  afterEach(() => {
    listener.close();
    rmSync(folder, { recursive: true });
  });

  it("returns NoServerError with the system error for absent and stale sockets", async () => {
    const absent = await diagnose(path);
    assert.ok(absent instanceof NoServerError);
    assert.deepEqual([absent.name, absent.code], ["NoServerError", "ERR_NO_SERVER"]);
    assert.ok(absent.message.includes(path));
    assert.equal((absent.cause as NodeJS.ErrnoException).code, "ENOENT");
    await once(listener.listen(`${path}.bound`), "listening");
    renameSync(`${path}.bound`, path); // because closing removes the name that was bound
    await once(listener.close(), "close");
    const stale = await diagnose(`unix:${path}`);
    assert.ok(stale instanceof NoServerError);
    assert.equal((stale.cause as NodeJS.ErrnoException).code, "ECONNREFUSED");
  });

  it("distinguishes other servers and other files from gRPC servers", async () => {
    await once(listener.listen(path), "listening");
    assert.ok((await diagnose(path)) instanceof NotGrpcError);
    assert.equal(await probe(path), undefined);
    writeFileSync(`${path}.data`, "");
    assert.ok((await diagnose(`${path}.data`)) instanceof NotSocketError);
    await assert.rejects(diagnose("app.sock"), AddressError);
  });
});
