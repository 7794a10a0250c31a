package io.samehost;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;

import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthGrpc;
import java.io.File;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class SocketChannelBuilderTest {

  /** About one channel in twenty notices the end when it writes, and not when it reads. */
  private static final int CHANNELS = 300;

  @Rule public final TemporaryFolder folder = new TemporaryFolder(new File("/tmp"));

  @Test
  public void aBrokenConnectionIsUnavailable() throws Exception {
    Path path = folder.getRoot().toPath().resolve("a.sock");
    ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    Thread server = new Thread(() -> closeConnections(listener));
    try (listener) {
      listener.bind(UnixDomainSocketAddress.of(path));
      server.start();
      for (int i = 0; i < CHANNELS; i++) {
        assertEquals(Status.Code.UNAVAILABLE, check(new SocketPath(path)));
      }
    }
    server.join();
  }

  private static Status.Code check(SocketPath socket) throws InterruptedException {
    ManagedChannel channel = SocketChannelBuilder.forPath(socket).build();
    try {
      return assertThrows(
              StatusRuntimeException.class,
              () ->
                  HealthGrpc.newBlockingStub(channel)
                      .withDeadlineAfter(30, TimeUnit.SECONDS)
                      .check(HealthCheckRequest.getDefaultInstance()))
          .getStatus()
          .getCode();
    } finally {
      channel.shutdownNow().awaitTermination(30, TimeUnit.SECONDS);
    }
  }

  private static void closeConnections(ServerSocketChannel listener) {
    try {
      while (true) {
        listener.accept().close();
      }
    } catch (IOException e) {
      // The test is over.
    }
  }
}
