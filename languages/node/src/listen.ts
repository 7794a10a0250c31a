/** Listening on a path, with a server of any library. */

import { parseAddress } from "./address.js";
import { SamehostError } from "./errors.js";
import { SocketFile } from "./socket-file.js";
import { errorMessage } from "./system-error.js";

/** How long calls in progress have by default. */
const GRACE_MS = 5000;

/** A longer time makes timers of Node.js fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface ListenOptions {
  /** Sets the permissions of the socket; 0o660 by default. Connecting takes *write* permission (unix(7)). */
  readonly mode?: number;
  /** Sets the group of the socket; by default the system chooses it, as for any new file in the folder. */
  readonly gid?: number | undefined;
  /** Names this server in the error that a second one gets; the program's name by default. */
  readonly owner?: string;
  /** Listens in a folder that every user may write to, who could replace the socket, with a warning. */
  readonly trustFolder?: boolean;
  /**
   * Lets a successor take the path over without losing a call; `takenOver` tells when. It dials `<path>.takeover`; a path of more
   * than 98 bytes leaves no room for that name, and can't be taken over.
   */
  readonly allowTakeover?: boolean;
  /** Replaces a running server, which then drains; implies `allowTakeover`. */
  readonly takeover?: boolean;
  /** Receives warnings; `process.emitWarning` by default. */
  readonly onWarning?: (message: string) => void;
}

/** How a server binds and ends; `samehost/grpc-js` and `samehost/connect` have one each. */
export interface Bindable {
  /** Binds to a path, and accepts connections from then on. */
  bind(path: string): Promise<void>;
  /** Accepts no more, moves clients away without refusing a call that was sent, and resolves when all calls are done. */
  drain(): Promise<void>;
  /** Cuts off what is left. */
  cut(): void;
}

/** A server at its path. */
export class Listener implements AsyncDisposable {
  constructor(
    private readonly file: SocketFile,
    private readonly server: Bindable,
  ) {}

  /** Resolves when a successor serves at the path: it is time to drain. */
  get takenOver(): Promise<void> {
    return this.file.takenOver;
  }

  /** Resolves when someone has removed the socket or replaced it, so that no new client finds this server. */
  get removed(): Promise<void> {
    return this.file.removed;
  }

  /**
   * Stops: removes the path, so that a successor may start, moves clients away without refusing a call that was sent, and lets calls
   * in progress finish. When the grace is over, it cuts off what is left. Doing it twice is harmless.
   */
  async drain(graceMs = GRACE_MS): Promise<void> {
    this.file.withdraw();
    let timer: NodeJS.Timeout | undefined;
    const cut = new Promise<void>((resolve) => {
      timer = setTimeout(
        () => {
          this.server.cut();
          resolve(); // a library may never say that it has drained
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
 * Listens on a path, and resolves when calls succeed. It replaces the file of a server that was killed. With `takeover` it may wait
 * for seconds.
 *
 * @param address an absolute path, or `unix:` and one
 * @throws AddressError, SocketInUseError, UnsafeFolderError, LockFileError, NotSocketError, or SamehostError of the system
 */
export async function listen(server: Bindable, address: string, options: ListenOptions = {}): Promise<Listener> {
  const path = parseAddress(address);
  const file = new SocketFile(path, options);
  const privatePath = await file.claim();
  try {
    await server.bind(privatePath).catch((cause: unknown) => {
      const reason = errorMessage(cause).replaceAll(privatePath, path); // libraries name what they were given
      throw new SamehostError(`the system refused a socket for ${path}: ${reason}`, { cause });
    });
    file.publish();
  } catch (error) {
    file.withdraw();
    server.cut();
    throw error;
  }
  return new Listener(file, server);
}
