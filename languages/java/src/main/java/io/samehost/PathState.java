package io.samehost;

import io.netty.bootstrap.Bootstrap;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.channel.unix.Errors;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** The kind of file at the path of a socket, found by reading its status and connecting. */
enum PathState {
  ABSENT,
  NOT_A_SOCKET,
  /** A socket exists, and no server listens on it. */
  STALE,
  /** A socket exists or may exist, and this process may not connect to it. */
  FORBIDDEN,
  /** A socket exists, and a server listens on it. */
  LIVE;

  /**
   * Reads the status of the path, and connects if it is a socket. Changes no file and does not wait
   * for an answer.
   *
   * <p>A socket that is bound but does not listen yet looks stale, because connect(2) returns
   * ECONNREFUSED for both. Therefore only a lock can keep two servers apart.
   */
  static PathState of(SocketPath socket) throws SamehostException {
    return of(socket, () -> at(socket.path(), socket.address()));
  }

  /** Like {@link #of(SocketPath)}, in the open folder of the socket. */
  static PathState of(SocketPath socket, Folder folder) throws SamehostException {
    return of(socket, () -> at(folder, socket.name()));
  }

  /** Like {@link #of(SocketPath)}, for any name in an open folder. */
  static PathState at(Folder folder, String name) throws IOException {
    return at(folder.resolve(name), folder.addressOf(name));
  }

  private static PathState of(SocketPath socket, Check check) throws SamehostException {
    try {
      return check.run();
    } catch (IOException e) {
      throw new SamehostException(
          "cannot read the status of %s: %s; check the folders above it"
              .formatted(socket.path(), Reasons.of(e)),
          e);
    }
  }

  private static PathState at(Path path, DomainSocketAddress address) throws IOException {
    try {
      return FileStatus.of(path).isSocket() ? connect(path, address) : NOT_A_SOCKET;
    } catch (NoSuchFileException e) {
      return ABSENT;
    } catch (AccessDeniedException e) {
      return FORBIDDEN;
    } catch (IOException e) {
      if (!Files.isDirectory(path.getParent())) {
        return ABSENT;
      }
      throw e;
    }
  }

  private static PathState connect(Path path, DomainSocketAddress address) {
    ChannelFuture connected =
        new Bootstrap()
            .group(EventLoops.SHARED)
            .channel(EpollDomainSocketChannel.class)
            .handler(new IgnoredErrors())
            .connect(address)
            .awaitUninterruptibly();
    connected.channel().close();
    if (connected.isSuccess()) {
      return LIVE;
    }
    if (connected.cause() instanceof FileNotFoundException) {
      return ABSENT;
    }
    // Netty has the number of the error only in its message: "failed with error(-111)".
    if (connected.cause().getMessage().contains("(" + Errors.ERROR_ECONNREFUSED_NEGATIVE + ")")) {
      return STALE;
    }
    // The other errors are EACCES, and EAGAIN if a server listens and its queue is full.
    return Files.isWritable(path) ? LIVE : FORBIDDEN;
  }

  @FunctionalInterface
  private interface Check {
    PathState run() throws IOException;
  }

  /** Netty would log a stack trace when the server closes the connection. */
  private static final class IgnoredErrors extends ChannelInboundHandlerAdapter {
    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {}
  }
}
