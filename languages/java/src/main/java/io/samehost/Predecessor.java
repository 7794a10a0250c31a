package io.samehost;

import com.google.gson.JsonElement;
import io.netty.bootstrap.Bootstrap;
import io.netty.channel.ChannelFuture;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import java.nio.file.Path;
import java.time.Duration;

/** The server that has the path, as its successor meets it. */
final class Predecessor implements AutoCloseable {

  /** How long a server may take to release its lock, which takes it less than a millisecond. */
  private static final Duration PATIENCE = Duration.ofSeconds(5);

  private final SocketPath socket;
  private final ControlConnection connection = new ControlConnection();

  private Predecessor(SocketPath socket) {
    this.socket = socket;
  }

  /**
   * Dials it, and so asks it to release its lock.
   *
   * @param folder of the socket
   */
  static Predecessor dial(SocketPath socket, Folder folder) throws SocketInUseException {
    Path control = Takeover.controlPath(socket);
    if (control == null) {
      throw new SocketInUseException(
          ("cannot take over %s: its name leaves no room for .takeover;"
                  + " stop its server and start this one")
              .formatted(socket.path()));
    }
    Predecessor predecessor = new Predecessor(socket);
    ChannelFuture dialled =
        new Bootstrap()
            .group(EventLoops.SHARED)
            .channel(EpollDomainSocketChannel.class)
            .handler(predecessor.connection)
            .connect(folder.dialled(control.getFileName().toString()))
            .awaitUninterruptibly(); // which takes no time
    if (!dialled.isSuccess()) {
      throw predecessor.doesNotAnswer(Reasons.of(dialled.cause()));
    }
    return predecessor;
  }

  /** Waits until it has released its lock. */
  void awaitRelease() throws SocketInUseException, InterruptedException {
    JsonElement answer = connection.hear(PATIENCE);
    if (answer == null) {
      throw doesNotAnswer("timed out");
    }
    if (!answer.equals(ControlConnection.RELEASED)) {
      throw new SocketInUseException(
          ("cannot take over %s: its server is stopping, or another server is taking over;"
                  + " try again")
              .formatted(socket.path()));
    }
  }

  /** Says that the path is its successor's now, so that it drains and goes. */
  void tellPublished() {
    connection.say(ControlConnection.PUBLISHED); // where that fails, it has gone already
    connection.close();
  }

  /** Hangs up; where it was not told to go, it takes its lock again and serves on. */
  @Override
  public void close() {
    connection.close();
  }

  private SocketInUseException doesNotAnswer(String reason) {
    return new SocketInUseException(
        "cannot take over %s: no server answers on %s: %s; stop its server and start this one"
            .formatted(socket.path(), Takeover.controlPath(socket), reason));
  }
}
