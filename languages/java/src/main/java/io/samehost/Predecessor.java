package io.samehost;

import com.google.gson.JsonElement;
import io.netty.bootstrap.Bootstrap;
import io.netty.channel.ChannelFuture;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import java.io.FileNotFoundException;
import java.net.ConnectException;
import java.nio.file.Path;
import java.time.Duration;

/** The running server on the path, as its successor sees it. */
final class Predecessor implements AutoCloseable {

  /** How long to wait until the server releases its lock. It takes less than a millisecond. */
  private static final Duration TIMEOUT = Duration.ofSeconds(5);

  private final SocketPath socket;
  private final ControlConnection connection = new ControlConnection();

  private Predecessor(SocketPath socket) {
    this.socket = socket;
  }

  /**
   * Connects to the server, which makes it release its lock.
   *
   * @param folder the folder of the socket
   */
  static Predecessor connect(SocketPath socket, Folder folder) throws SocketInUseException {
    Path control = Takeover.controlPath(socket);
    if (control == null) {
      throw new SocketInUseException(
          ("cannot take over %s: its name leaves no room for .takeover;"
                  + " stop its server and start this one")
              .formatted(socket.path()));
    }
    Predecessor predecessor = new Predecessor(socket);
    ChannelFuture connected =
        new Bootstrap()
            .group(EventLoops.SHARED)
            .channel(EpollDomainSocketChannel.class)
            .handler(predecessor.connection)
            .connect(folder.addressOf(control.getFileName().toString()))
            .awaitUninterruptibly(); // a Unix socket connects without delay
    if (connected.cause() instanceof FileNotFoundException
        || connected.cause() instanceof ConnectException) { // ENOENT and ECONNREFUSED
      throw new SocketInUseException(
          ("cannot take over %s: no server listens on %s, so its server allows no takeover,"
                  + " or is starting or stopping; stop its server and start this one")
              .formatted(socket.path(), control));
    }
    if (!connected.isSuccess()) {
      throw predecessor.noAnswer(Reasons.of(connected.cause()));
    }
    return predecessor;
  }

  /** Waits until the server has released its lock. */
  void awaitRelease() throws SocketInUseException, InterruptedException {
    JsonElement answer = connection.receive(TIMEOUT);
    if (answer == null) {
      throw noAnswer("timed out");
    }
    if (!answer.equals(ControlConnection.RELEASED)) {
      throw new SocketInUseException(
          ("cannot take over %s: its server is stopping, or another server is taking over;"
                  + " try again")
              .formatted(socket.path()));
    }
  }

  /** Tells the server that the path belongs to its successor, so that it drains and exits. */
  void tellPublished() {
    connection.send(ControlConnection.PUBLISHED); // fails only if the server has exited
    connection.close();
  }

  /** Closes the connection. An unfinished takeover fails, and the server locks its path again. */
  @Override
  public void close() {
    connection.close();
  }

  private SocketInUseException noAnswer(String reason) {
    return new SocketInUseException(
        ("cannot take over %s: its server does not answer on %s: %s;"
                + " stop it, or kill it if it is blocked, and start this one")
            .formatted(socket.path(), Takeover.controlPath(socket), reason));
  }
}
