package io.samehost;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import io.grpc.ManagedChannel;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.netty.GrpcSslContexts;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.util.InsecureTrustManagerFactory;
import io.netty.handler.ssl.util.SelfSignedCertificate;
import java.io.File;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class SocketServerTest {
  private static final Duration WAIT = Duration.ofSeconds(10);

  @Rule public final TemporaryFolder folder = new TemporaryFolder(new File("/tmp"));

  private SocketPath socket;

  @Before
  public void setUp() {
    socket = new SocketPath(folder.getRoot().toPath().resolve("a.sock"));
  }

  @Test
  public void servesUntilItIsStopped() throws Exception {
    assertThrows(NoServerException.class, () -> Diagnosis.check(socket));
    try (SocketServer server = SocketServer.builder(socket).mode(0600).start()) {
      Diagnosis.check(socket);
      ManagedChannel channel = SocketChannelBuilder.forPath(socket).connect(WAIT);
      Iterator<HealthCheckResponse> watch =
          HealthGrpc.newBlockingStub(channel).watch(HealthCheckRequest.getDefaultInstance());
      assertEquals(ServingStatus.SERVING, watch.next().getStatus());
      server.stop(WAIT);
      assertEquals(ServingStatus.NOT_SERVING, watch.next().getStatus());
      assertFalse(watch.hasNext());
      channel.shutdownNow();
    }
    assertEquals(List.of("a.sock.lock"), names());
  }

  @Test
  @SuppressWarnings("deprecation") // its replacement is in another artifact, netty-pkitesting
  public void drainsWithTls() throws Exception {
    SelfSignedCertificate own = new SelfSignedCertificate("localhost");
    SslContext server = GrpcSslContexts.forServer(own.certificate(), own.privateKey()).build();
    SslContext client =
        GrpcSslContexts.forClient().trustManager(InsecureTrustManagerFactory.INSTANCE).build();
    try (SocketServer running =
        SocketServer.builder(socket).configure(netty -> netty.sslContext(server)).start()) {
      ManagedChannel channel =
          SocketChannelBuilder.forPath(socket)
              .configure(netty -> netty.useTransportSecurity().sslContext(client))
              .connect(WAIT);
      HealthGrpc.newBlockingStub(channel).check(HealthCheckRequest.getDefaultInstance());
      running.stop(WAIT);
      channel.shutdownNow();
      assertTrue(channel.awaitTermination(10, TimeUnit.SECONDS));
    }
  }

  @Test
  public void anInterruptedSuccessorLeavesNoFiles() throws Exception {
    try (SocketServer server = SocketServer.builder(socket).allowTakeover(true).start();
        ServerSocketChannel silent = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      Path control = Path.of(socket.path() + ".takeover");
      Files.delete(control);
      silent.bind(UnixDomainSocketAddress.of(control));
      Thread successor = Thread.currentThread();
      new Thread(
              () -> {
                try {
                  silent.accept();
                } catch (IOException e) {
                  // The interrupt below happens anyway.
                }
                successor.interrupt();
              })
          .start();
      assertThrows(
          InterruptedException.class, () -> SocketServer.builder(socket).takeOver(true).start());
      assertEquals(List.of("a.sock", "a.sock.lock", "a.sock.takeover"), names());
      assertFalse(server.takenOver().toCompletableFuture().isDone());
    }
  }

  private List<String> names() throws IOException {
    try (Stream<Path> found = Files.list(folder.getRoot().toPath())) {
      return found.map(each -> each.getFileName().toString()).sorted().toList();
    }
  }
}
