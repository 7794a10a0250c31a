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

describe("SocketFile", () => {
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

  it("publishes a socket with its mode, and leaves only the lock file behind", async () => {
    const { file: served } = await serve();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(folder).sort(), ["app.sock", "app.sock.lock", "app.sock.takeover"]);
    served.withdraw();
    assert.deepEqual(readdirSync(folder), ["app.sock.lock"]);
  });

  it("refuses a second server", async () => {
    await serve();
    await assert.rejects(file().claim(), (error: unknown) => {
      assert.ok(error instanceof SocketInUseError && error.message.includes(path));
      assert.match(error.message, /: test, process \d+ on host \S+ holds/);
      return true;
    });
  });

  it("keeps the socket of a successor when the old listener closes late", async () => {
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

  it("refuses a lock file with other data", async () => {
    writeFileSync(`${path}.lock`, "versions = 1\n");
    await assert.rejects(file().claim(), LockFileError);
  });

  it("restricts the lock file to its user, and refuses other kinds of file", async () => {
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

  it("refuses and keeps a file that appears during the start", async () => {
    const starting = file();
    await bind(await starting.claim());
    writeFileSync(path, "data");
    assert.throws(() => {
      starting.publish();
    }, SocketInUseError);
    starting.withdraw();
    assert.deepEqual(readdirSync(folder).sort(), ["app.sock", "app.sock.lock"]);
  });

  it("hands the path over to a successor, and leaves it there", async () => {
    const first = await serve();
    const second = await serve({ takeover: true });
    await first.file.takenOver;
    first.file.withdraw();
    assert.deepEqual(readdirSync(folder).sort(), ["app.sock", "app.sock.lock", "app.sock.takeover"]);
    second.file.withdraw();
    assert.deepEqual(readdirSync(folder), ["app.sock.lock"]);
  });

  it("takes the path back when a successor fails, and then hands it over to the next one", async () => {
    const first = await serve();
    const second = file({ takeover: true });
    await second.claim();
    const third = serve({ takeover: true }); // waits until the second one fails
    second.withdraw();
    const { file: last } = await third;
    await first.file.takenOver;
    first.file.withdraw();
    last.withdraw();
    assert.deepEqual(readdirSync(folder), ["app.sock.lock"]);
  });

  it("restores its names when a successor removes them and sends any data but `published`", async () => {
    const { file: served } = await serve();
    const { ino } = statSync(path);
    for (const data of ["[".repeat(4096), '{"event":"published","\xff":0}\n', "{}\n", ""]) {
      const successor = connect(`${path}.takeover`);
      await once(successor, "data"); // the lock is released
      unlinkSync(path);
      unlinkSync(`${path}.takeover`);
      successor.end(data, "latin1");
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

  it("reports that its socket was removed or replaced", async (test: TestContext) => {
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

  it("reports no removal after a takeover or a stop", async (test: TestContext) => {
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

  it("refuses a regular file where successors connect", async () => {
    writeFileSync(`${path}.takeover`, "data");
    await assert.rejects(file().claim(), NotSocketError);
    assert.deepEqual(readdirSync(folder).sort(), ["app.sock.lock", "app.sock.takeover"]);
  });
});
