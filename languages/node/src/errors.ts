/** What goes wrong; each message names the path, the cause and the remedy in one line. */

/** The system refuses something; `cause` is its error. The base of all errors of this library. */
export class SamehostError extends Error {
  override readonly name: string = "SamehostError";
  readonly code: string = "ERR_SYSTEM";
}

/** The path is relative, too long, or has characters that gRPC libraries do not read alike. */
export class AddressError extends SamehostError {
  override readonly name = "AddressError";
  override readonly code = "ERR_ADDRESS";
}

/** A server has the path. */
export class SocketInUseError extends SamehostError {
  override readonly name = "SocketInUseError";
  override readonly code = "ERR_IN_USE";
}

/** Every user may replace the socket. */
export class UnsafeFolderError extends SamehostError {
  override readonly name = "UnsafeFolderError";
  override readonly code = "ERR_UNSAFE_FOLDER";
}

/** The lock file has other content, is no regular file, or another user may lock it. */
export class LockFileError extends SamehostError {
  override readonly name = "LockFileError";
  override readonly code = "ERR_LOCK_FILE";
}

/** Another kind of file is at the path. */
export class NotSocketError extends SamehostError {
  override readonly name = "NotSocketError";
  override readonly code = "ERR_NOT_SOCKET";
}

/** Nobody listens: there is no socket, or its server is gone. A server that starts later cures it. */
export class NoServerError extends SamehostError {
  override readonly name = "NoServerError";
  override readonly code = "ERR_NO_SERVER";
}

/** This process may not connect. */
export class ForbiddenError extends SamehostError {
  override readonly name = "ForbiddenError";
  override readonly code = "ERR_FORBIDDEN";
}

/** A server listens that does not speak HTTP/2. */
export class NotGrpcError extends SamehostError {
  override readonly name = "NotGrpcError";
  override readonly code = "ERR_NOT_GRPC";
}
