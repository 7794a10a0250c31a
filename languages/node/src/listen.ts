/** Listens on a path with a server of any library. */

import { parseAddress } from "./address.js";
import { bindError } from "./listen-step.js";
import { SocketFile } from "./socket-file.js";

/** The default time for calls in progress to finish. */
const GRACE_MS = 5000;

/** The longest time of a timer. With a longer one, Node.js fires it at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface ListenOptions {
  /** Sets the permissions of the socket; 0o660 by default. Connecting takes *write* permission (unix(7)). */
  readonly mode?: number;
  /** Sets the group of the socket; by default the system chooses it, as for any new file in the folder. */
  readonly gid?: number | undefined;
  /** Names this server in the error of a second server; the name of the program by default. */
  readonly owner?: string;
  /** Listens with a warning in a folder that every user can write to, so that any of them can replace the socket. */
  readonly trustFolder?: boolean;
  /**
   * Lets a successor replace this server without losing a call: drain when `takenOver` resolves. The successor connects
   * to `<path>.takeover`. A path of more than 98 bytes leaves no room for that name and cannot be taken over.
   */
  readonly allowTakeover?: boolean;
  /** Replaces a running server, which then drains. Implies `allowTakeover`. */
  readonly takeover?: boolean;
  /** Receives warnings; `process.emitWarning` by default. */
  readonly onWarning?: (message: string) => void;
}

/** A server that can listen and stop. `samehost/grpc-js` and `samehost/connect` each implement one. */
export interface Bindable {
  /** Binds to a path and starts to accept connections. */
  bind(path: string): Promise<void>;
  /**
   * Stops accepting connections, moves clients to other connections without refusing a call that was already sent, and
   * resolves when all calls have finished.
   */
  drain(): Promise<void>;
  /** Closes the remaining connections. */
  cut(): void;
}

/** A server that listens on a path. */
export class Listener implements AsyncDisposable {
  constructor(
    private readonly file: SocketFile,
    private readonly server: Bindable,
  ) {}

  /** Resolves when a successor serves on the path. This server should then drain. */
  get takenOver(): Promise<void> {
    return this.file.takenOver;
  }

  /** Resolves when someone removes or replaces the socket, so that new clients cannot connect to this server. */
  get removed(): Promise<void> {
    return this.file.removed;
  }

  /**
   * Stops the server: removes the path, so that a successor can start, moves clients to other connections without
   * refusing a call that was already sent, and lets calls in progress finish. After the grace it closes the remaining
   * connections. Calling it twice is harmless.
   *
   * @param graceMs the time for calls in progress to finish, in milliseconds; 5000 by default
   */
  async drain(graceMs = GRACE_MS): Promise<void> {
    this.file.withdraw();
    let timer: NodeJS.Timeout | undefined;
    const cut = new Promise<void>((resolve) => {
      timer = setTimeout(
        () => {
          this.server.cut();
          resolve(); // a library may never report that it has drained
        },
        Math.min(graceMs, MAX_TIMER_MS),
      );
    });
    await Promise.race([this.server.drain(), cut]);
    clearTimeout(timer);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain();
  }
}

/**
 * Listens on a path and resolves when calls succeed. Replaces the socket of a server that was killed. With `takeover`
 * it can take several seconds.
 *
 * @param address an absolute path, or `unix:` and an absolute path
 * @throws AddressError: the address is invalid
 * @throws SocketInUseError: a server uses the path, or cannot be taken over
 * @throws UnsafeFolderError: every user can replace the socket
 * @throws LockFileError: the lock file cannot be used
 * @throws NotSocketError: a file or folder at the path is not a socket
 * @throws SamehostError: another operation of the system failed
 */
export async function listen(server: Bindable, address: string, options: ListenOptions = {}): Promise<Listener> {
  const path = parseAddress(address);
  const file = new SocketFile(path, options);
  const privatePath = await file.claim();
  try {
    await server.bind(privatePath).catch((cause: unknown) => {
      throw bindError(path, cause);
    });
    file.publish();
  } catch (error) {
    file.withdraw();
    server.cut();
    throw error;
  }
  return new Listener(file, server);
}
