import assert from "node:assert/strict";
import { once } from "node:events";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, describe, it, type TestContext } from "node:test";

import { LockFileError, NotSocketError, SocketInUseError } from "./errors.js";
import type { ListenOptions } from "./listen.js";
import { SocketFile } from "./socket-file.js";

function replace(path: string): void {
  unlinkSync(path);
  writeFileSync(path, "data");
}

describe("a socket's file", () => {
  let folder: string;
  let path: string;
  let files: SocketFile[];
  let listeners: Server[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "socket-file-"));
    path = join(folder, "app.sock");
    files = [];
    listeners = [];
  });

  afterEach(() => {
    for (const each of files) {
      each.withdraw();
    }
    for (const listener of listeners) {
      listener.close();
    }
    rmSync(folder, { recursive: true });
  });

  function file(options: ListenOptions = {}): SocketFile {
    const made = new SocketFile(path, { mode: 0o600, owner: "test", allowTakeover: true, ...options });
    files.push(made);
    return made;
  }

  async function bind(privatePath: string): Promise<Server> {
    const listener = createServer().listen(privatePath);
    await once(listener, "listening");
    listeners.push(listener);
    return listener;
  }

  async function serve(options: ListenOptions = {}): Promise<{ file: SocketFile; listener: Server }> {
    const served = file(options);
    const listener = await bind(await served.claim());
    served.publish();
    return { file: served, listener };
  }

  it("is published with its mode, and leaves the lock file alone behind", async () => {
    const { file: served } = await serve();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(folder).sort(), ["app.sock", "app.sock.lock", "app.sock.takeover"]);
    served.withdraw();
    assert.deepEqual(readdirSync(folder), ["app.sock.lock"]);
  });

  it("is refused to a second server", async () => {
    await serve();
    await assert.rejects(file().claim(), (error: unknown) => {
      assert.ok(error instanceof SocketInUseError);
      assert.match(error.message, /has a server already: test, process \d+ on host \S+ holds/);
      return true;
    });
  });

  it("is no other's: a listener that closes late takes nothing of its successor away", async () => {
    const first = await serve();
    first.file.withdraw();
    const successor = file();
    await bind(await successor.claim());
    first.listener.close();
    await once(first.listener, "close");
    successor.publish();
    assert.ok(statSync(path).isSocket());
    successor.withdraw();
  });

  it("is not taken over a lock file with other content", async () => {
    writeFileSync(`${path}.lock`, "versions = 1\n");
    await assert.rejects(file().claim(), LockFileError);
  });

  it("has a lock file that nobody else may open, or is refused", async () => {
    const lock = `${path}.lock`;
    writeFileSync(lock, "", { mode: 0o666 });
    await file().claim();
    assert.equal(statSync(lock).mode & 0o777, 0o600);
    for (const spoil of [
      (): void => {
        linkSync(lock, join(folder, "other"));
      },
      (): void => {
        rmSync(lock);
        symlinkSync("other", lock);
      },
      (): void => {
        rmSync(lock);
        mkdirSync(lock);
      },
    ]) {
      files.pop()?.withdraw();
      spoil();
      await assert.rejects(file().claim(), LockFileError);
    }
  });

  it("is kept where someone puts another in its place while its server starts", async () => {
    const starting = file();
    await bind(await starting.claim());
    writeFileSync(path, "data");
    assert.throws(() => {
      starting.publish();
    }, /someone put another file at \S+app\.sock while/);
    starting.withdraw();
    assert.deepEqual(readdirSync(folder).sort(), ["app.sock", "app.sock.lock"]);
  });

  it("is handed over to a successor, and left to it", async () => {
    const first = await serve();
    const second = await serve({ takeover: true });
    await first.file.takenOver;
    first.file.withdraw();
    assert.deepEqual(readdirSync(folder).sort(), ["app.sock", "app.sock.lock", "app.sock.takeover"]);
    second.file.withdraw();
    assert.deepEqual(readdirSync(folder), ["app.sock.lock"]);
  });

  it("is its server's again when a successor gives up, and the next successor's then", async () => {
    const first = await serve();
    const second = file({ takeover: true });
    await second.claim();
    const third = serve({ takeover: true }); // waits until the second one gives up
    second.withdraw();
    const { file: last } = await third;
    await first.file.takenOver;
    first.file.withdraw();
    last.withdraw();
    assert.deepEqual(readdirSync(folder), ["app.sock.lock"]);
  });

  it("gets its names again when a successor dies with them, whatever that has said", async () => {
    const { file: served } = await serve();
    const { ino } = statSync(path);
    for (const said of ["[".repeat(4096), '{"event":"published","\xff":0}\n', "{}\n", ""]) {
      const successor = connect(`${path}.takeover`);
      await once(successor, "data"); // that the lock is released
      unlinkSync(path);
      unlinkSync(`${path}.takeover`);
      successor.end(said, "latin1");
      await once(successor, "close");
      while (!existsSync(path) || readdirSync(folder).length > 3) {
        await pause(1);
      }
      assert.equal(statSync(path).ino, ino);
      assert.deepEqual(readdirSync(folder).sort(), ["app.sock", "app.sock.lock", "app.sock.takeover"]);
    }
    served.withdraw();
    assert.deepEqual(readdirSync(folder), ["app.sock.lock"]);
  });

  it("is known to be removed, or replaced", async (test: TestContext) => {
    test.mock.timers.enable({ apis: ["setInterval"] });
    for (const spoil of [unlinkSync, replace]) {
      const served = await serve();
      spoil(path);
      test.mock.timers.tick(1000);
      await served.file.removed;
      served.file.withdraw();
      rmSync(path, { force: true });
    }
  });

  it("is not removed where a successor has it, or where the server goes", async (test: TestContext) => {
    test.mock.timers.enable({ apis: ["setInterval"] });
    const first = await serve();
    const second = await serve({ takeover: true });
    test.mock.timers.tick(1000);
    await first.file.takenOver;
    first.file.withdraw();
    second.file.withdraw();
    test.mock.timers.tick(1000);
    const lost = [first, second].map(({ file: { removed } }) => removed.then(() => "lost"));
    assert.equal(await Promise.race([...lost, pause(1, "served")]), "served");
  });

  it("is not taken over with a regular file where successors dial", async () => {
    writeFileSync(`${path}.takeover`, "data");
    await assert.rejects(file().claim(), NotSocketError);
    assert.deepEqual(readdirSync(folder).sort(), ["app.sock.lock", "app.sock.takeover"]);
  });
});
