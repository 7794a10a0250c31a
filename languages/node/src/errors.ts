/** The errors of this library. Each message names the path, the cause and the remedy in one line. */

/** An operation of the system failed; `cause` is its error. The base class of all errors of this library. */
export class SamehostError extends Error {
  override readonly name: string = "SamehostError";
  readonly code: string = "ERR_SYSTEM";
}

/** The path is relative, too long, or has characters that gRPC libraries read differently. */
export class AddressError extends SamehostError {
  override readonly name = "AddressError";
  override readonly code = "ERR_ADDRESS";
}

/** A server uses the path. */
export class SocketInUseError extends SamehostError {
  override readonly name = "SocketInUseError";
  override readonly code = "ERR_IN_USE";
}

/** Every user can replace the socket. */
export class UnsafeFolderError extends SamehostError {
  override readonly name = "UnsafeFolderError";
  override readonly code = "ERR_UNSAFE_FOLDER";
}

/** The lock file holds other data, is not a regular file, cannot be opened, or another user can lock it. */
export class LockFileError extends SamehostError {
  override readonly name = "LockFileError";
  override readonly code = "ERR_LOCK_FILE";
}

/** A file or folder at the path is not a socket. */
export class NotSocketError extends SamehostError {
  override readonly name = "NotSocketError";
  override readonly code = "ERR_NOT_SOCKET";
}

/** No server listens: the socket does not exist, or its server was killed. Starting a server fixes it. */
export class NoServerError extends SamehostError {
  override readonly name = "NoServerError";
  override readonly code = "ERR_NO_SERVER";
}

/** This process has no permission to connect. */
export class ForbiddenError extends SamehostError {
  override readonly name = "ForbiddenError";
  override readonly code = "ERR_FORBIDDEN";
}

/** A server listens but does not speak HTTP/2. */
export class NotGrpcError extends SamehostError {
  override readonly name = "NotGrpcError";
  override readonly code = "ERR_NOT_GRPC";
}
