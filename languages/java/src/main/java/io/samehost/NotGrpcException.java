package io.samehost;

/** The server on the socket does not speak HTTP/2 without TLS. */
public final class NotGrpcException extends SamehostException {
  private static final long serialVersionUID = 1;

  NotGrpcException(String message) {
    super(message);
  }
}
