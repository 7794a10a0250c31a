package io.samehost.interop;

import static org.junit.Assume.assumeTrue;

import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.testing.integration.AbstractInteropTest;
import io.samehost.SocketChannelBuilder;
import io.samehost.SocketPath;
import io.samehost.SocketServer;
import java.io.File;
import org.junit.AfterClass;
import org.junit.BeforeClass;
import org.junit.ClassRule;
import org.junit.Ignore;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

/**
 * grpc-java's own interop tests, over a socket: against our own server, or against the one at the
 * path that the property {@code samehost.socket} names.
 */
public class OfficialInteropTest extends AbstractInteropTest {
  @ClassRule public static final TemporaryFolder folder = new TemporaryFolder(new File("/tmp"));

  private static final String ECHO =
      "needs grpc-java's own server, which echoes metadata that the description does not have";

  private static SocketPath socket;
  private static SocketServer server;

  @BeforeClass
  public static void startOwnServer() throws Exception {
    String running = System.getProperty("samehost.socket");
    socket = SocketPath.of(running != null ? running : folder.getRoot() + "/interop.sock");
    if (running == null) {
      server =
          SocketServer.builder(socket)
              .configure(netty -> netty.addServices(InteropService.services()))
              .mode(0600)
              .start();
    }
  }

  @AfterClass
  public static void stopOwnServer() throws Exception {
    if (server != null) {
      server.close();
    }
  }

  @Override
  protected ManagedChannel createChannel() {
    return SocketChannelBuilder.forPath(socket).build();
  }

  @Override
  protected ManagedChannelBuilder<?> createChannelBuilder() {
    return SocketChannelBuilder.forPath(socket);
  }

  /** Statistics are compared with those of a server that the tests start themselves. */
  @Override
  protected boolean metricsExpected() {
    return false;
  }

  /** The longest message is one of 4 MiB, and this test's have 10 MiB of payload. */
  @Override
  protected int unaryPayloadLength() {
    return 4 * 1024 * 1024 - 1024;
  }

  @Test
  @Ignore(ECHO)
  @Override
  public void exchangeMetadataUnaryCall() {}

  @Test
  @Ignore(ECHO)
  @Override
  public void exchangeMetadataStreamingCall() {}

  @Test
  @Override
  public void serverStreamingShouldBeFlowControlled() throws Exception {
    assumeTrue("C-core's status has an empty message, where this test wants none", server != null);
    super.serverStreamingShouldBeFlowControlled();
  }
}
