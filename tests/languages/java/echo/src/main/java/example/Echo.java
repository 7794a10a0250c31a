package example;

import echo.v1.Echo.EchoRequest;
import echo.v1.Echo.EchoResponse;
import echo.v1.EchoServiceGrpc;
import echo.v1.EchoServiceGrpc.EchoServiceImplBase;
import io.grpc.ManagedChannel;
import io.grpc.stub.StreamObserver;
import io.samehost.SocketChannelBuilder;
import io.samehost.SocketPath;
import io.samehost.SocketServer;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import sun.misc.Signal;

/** Serves or calls an echo service through the library: serve PATH, call PATH TEXT. */
public final class Echo extends EchoServiceImplBase {
  @Override
  public void echo(EchoRequest request, StreamObserver<EchoResponse> responses) {
    responses.onNext(EchoResponse.newBuilder().setText(request.getText()).build());
    responses.onCompleted();
  }

  public static void main(String[] args) throws Exception {
    SocketPath socket = SocketPath.of(args[1]);
    if (args[0].equals("serve")) {
      serve(socket);
    } else {
      call(socket, args[2]);
    }
  }

  private static void serve(SocketPath socket) throws Exception {
    CountDownLatch stop = new CountDownLatch(1);
    Signal.handle(new Signal("TERM"), signal -> stop.countDown()); // a hook would exit with 143
    try (SocketServer server = SocketServer.builder(socket).addService(new Echo()).start()) {
      System.out.println("listening on " + socket.path());
      stop.await();
    }
  }

  private static void call(SocketPath socket, String text) throws Exception {
    ManagedChannel channel = SocketChannelBuilder.forPath(socket).connect(Duration.ofSeconds(5));
    try {
      EchoRequest request = EchoRequest.newBuilder().setText(text).build();
      System.out.println(EchoServiceGrpc.newBlockingStub(channel).echo(request).getText());
    } finally {
      channel.shutdownNow();
    }
  }
}
