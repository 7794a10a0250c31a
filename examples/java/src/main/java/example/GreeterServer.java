package example;

import io.grpc.Server;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import samehost.greeter.v1.Greeter.GreetRequest;
import samehost.greeter.v1.Greeter.GreetResponse;
import samehost.greeter.v1.GreeterServiceGrpc.GreeterServiceImplBase;

/** A gRPC server on a Unix domain socket: GreeterServer [PATH]. */
public final class GreeterServer extends GreeterServiceImplBase {
  @Override
  public void greet(GreetRequest request, StreamObserver<GreetResponse> responses) {
    String message = "Hello, " + request.getName() + "!";
    responses.onNext(GreetResponse.newBuilder().setMessage(message).build());
    responses.onCompleted();
  }

  public static void main(String[] args) throws Exception {
    String path = args.length > 0 ? args[0] : "/tmp/greeter.sock";
    Files.deleteIfExists(Path.of(path)); // left by a killed server
    var threads = new MultiThreadIoEventLoopGroup(EpollIoHandler.newFactory());
    Server server =
        NettyServerBuilder.forAddress(new DomainSocketAddress(path))
            .channelType(EpollServerDomainSocketChannel.class)
            .bossEventLoopGroup(threads)
            .workerEventLoopGroup(threads)
            .addService(new GreeterServer())
            .build()
            .start();
    System.out.println("listening on " + path);
    server.awaitTermination();
  }
}
