package io.samehost.socket;

import io.netty.bootstrap.Bootstrap;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.epoll.EpollDomainSocketChannel;
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
    return of(socket, socket.path());
  }

  /**
   * Looks where a path relative to an open folder leads; see {@link #of(SocketPath)}.
   *
   * @param socket for the error message
   */
  static PathState of(SocketPath socket, Path path) throws SamehostException {
    try {
      return at(path);
    } catch (IOException e) {
      throw new SamehostException(
          "cannot look at %s: %s; check the folder it is in"
              .formatted(socket.path(), Reasons.of(e)),
          e);
    }
  }

  /** Looks where a path leads; see {@link #of(SocketPath)}. */
  static PathState at(Path path) throws IOException {
    try {
      return FileStatus.of(path).isSocket() ? dial(path) : NOT_A_SOCKET;
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

  private static PathState dial(Path path) {
    ChannelFuture dialled =
        new Bootstrap()
            .group(EventLoops.SHARED)
            .channel(EpollDomainSocketChannel.class)
            .handler(new Silence())
            .connect(new SocketPath(path).address())
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

  /** Whoever listens may hang up; otherwise Netty logs that with a stack trace. */
  private static final class Silence extends ChannelInboundHandlerAdapter {
    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {}
  }
}
