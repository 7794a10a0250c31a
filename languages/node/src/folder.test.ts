import assert from "node:assert/strict";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it, type TestContext } from "node:test";

import { UnsafeFolderError } from "./errors.js";
import { Folder, openFolder } from "./folder.js";
import { PrivateFolder, sweep } from "./private-folder.js";

const PREFIX = ".0123abcd";

let path: string;

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "folder-"));
});

afterEach(() => {
  rmSync(path, { recursive: true });
});

/** Creates a socket on which no server listens. */
async function leaveSocket(at: string): Promise<void> {
  const listener = createServer().listen(at);
  await once(listener, "listening");
  renameSync(at, `${at}.left`); // because closing removes the name that was bound
  listener.close();
}

describe("openFolder", () => {
  const socket = (): string => join(path, "app.sock");

  it("refuses a folder that every user can write to, unless it is trusted", (test: TestContext) => {
    chmodSync(path, 0o777);
    const warn = test.mock.fn();
    assert.throws(() => openFolder(socket(), false, warn), UnsafeFolderError);
    openFolder(socket(), true, warn).close();
    const warnings = warn.mock.calls.map((call) => String(call.arguments[0]));
    assert.equal(warnings.length, 1);
    assert.ok(warnings[0]?.includes(socket()), warnings[0]);
  });

  it("accepts a folder that every user can write to if it has the sticky bit", () => {
    chmodSync(path, 0o1777);
    openFolder(socket(), false, console.error).close();
  });

  it("keeps the folder when another takes its place", { skip: process.platform !== "linux" }, () => {
    const opened = join(path, "opened");
    mkdirSync(opened);
    const folder = new Folder(opened);
    renameSync(opened, join(path, "moved"));
    mkdirSync(opened);
    writeFileSync(folder.at("file"), "");
    assert.deepEqual(readdirSync(opened), []);
    assert.deepEqual(folder.names(), ["file"]);
    folder.close();
    assert.throws(() => folder.at("file"), /is closed/);
  });
});

describe("PrivateFolder", () => {
  let parent: Folder;

  beforeEach(() => {
    parent = new Folder(path);
  });

  afterEach(() => {
    parent.close();
  });

  it("has mode 0700 with any umask, and is removed with its sockets", async () => {
    const umask = process.umask(0o777);
    const folder = PrivateFolder.create(parent, PREFIX);
    process.umask(umask);
    const [name] = readdirSync(path);
    assert.match(name ?? "", /^\.0123abcd[0-9a-f]{8}$/);
    assert.equal(statSync(join(path, name ?? "")).mode & 0o777, 0o700);
    await leaveSocket(folder.at("socket"));
    folder.remove();
    folder.remove();
    assert.deepEqual(readdirSync(path), []);
  });

  it("is removed after its server was killed, but not with files of others", async () => {
    const left = PrivateFolder.create(parent, PREFIX);
    await leaveSocket(left.at("socket"));
    left.close();

    const others = join(path, "others");
    mkdirSync(others, { mode: 0o700 });
    await leaveSocket(join(others, "socket"));
    symlinkSync(others, join(path, `${PREFIX}00000000`));
    const open = join(path, `${PREFIX}00000001`);
    mkdirSync(open);
    chmodSync(open, 0o755);
    const filled = join(path, `${PREFIX}00000002`);
    mkdirSync(filled, { mode: 0o700 });
    writeFileSync(join(filled, "data"), "");

    sweep(parent, PREFIX);
    assert.deepEqual(readdirSync(path).sort(), [
      `${PREFIX}00000000`,
      `${PREFIX}00000001`,
      `${PREFIX}00000002`,
      "others",
    ]);
    assert.ok(existsSync(join(others, "socket.left")) && existsSync(join(filled, "data")));
  });
});
