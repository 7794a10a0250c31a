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

/** What is at the path of a socket, found out by looking and dialling. */
enum PathState {
  ABSENT,
  NOT_A_SOCKET,
  /** A socket is there and nobody listens on it. */
  STALE,
  /** A socket is there, or may be, and this process may not connect to it. */
  FORBIDDEN,
  /** A socket is there and someone listens on it. */
  LIVE;

  /**
   * Looks, and dials where there is a socket; changes nothing and never waits for an answer.
   *
   * <p>A socket that is bound and does not listen yet looks stale, as connect(2) gives ECONNREFUSED
   * for both. So servers are kept apart by a lock, not by this.
   */
  static PathState of(SocketPath socket) throws SamehostException {
    return of(socket, () -> at(socket.path(), socket.address()));
  }

  /**
   * Looks at the name of the socket in its folder, which is held open; see {@link #of(SocketPath)}.
   */
  static PathState of(SocketPath socket, Folder folder) throws SamehostException {
    return of(socket, () -> at(folder, socket.name()));
  }

  /** Looks at what has a name in a folder; see {@link #of(SocketPath)}. */
  static PathState at(Folder folder, String name) throws IOException {
    return at(folder.resolve(name), folder.dialled(name));
  }

  private static PathState of(SocketPath socket, Look look) throws SamehostException {
    try {
      return look.take();
    } catch (IOException e) {
      throw new SamehostException(
          "cannot read the status of %s: %s; check the folders above it"
              .formatted(socket.path(), Reasons.of(e)),
          e);
    }
  }

  private static PathState at(Path path, DomainSocketAddress dialled) throws IOException {
    try {
      return FileStatus.of(path).isSocket() ? dial(path, dialled) : NOT_A_SOCKET;
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

  private static PathState dial(Path path, DomainSocketAddress address) {
    ChannelFuture dialled =
        new Bootstrap()
            .group(EventLoops.SHARED)
            .channel(EpollDomainSocketChannel.class)
            .handler(new Silence())
            .connect(address)
            .awaitUninterruptibly();
    dialled.channel().close();
    if (dialled.isSuccess()) {
      return LIVE;
    }
    if (dialled.cause() instanceof FileNotFoundException) {
      return ABSENT;
    }
    // Netty gives the number of the error in its message alone: "failed with error(-111)".
    if (dialled.cause().getMessage().contains("(" + Errors.ERROR_ECONNREFUSED_NEGATIVE + ")")) {
      return STALE;
    }
    // What is left besides EACCES is EAGAIN: someone listens, and the queue of callers is full.
    return Files.isWritable(path) ? LIVE : FORBIDDEN;
  }

  @FunctionalInterface
  private interface Look {
    PathState take() throws IOException;
  }

  /** Whoever listens may hang up; otherwise Netty logs that with a stack trace. */
  private static final class Silence extends ChannelInboundHandlerAdapter {
    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {}
  }
}
