package example;

import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.unix.DomainSocketAddress;
import java.util.concurrent.TimeUnit;
import samehost.greeter.v1.Greeter.GreetRequest;
import samehost.greeter.v1.GreeterServiceGrpc;

/** A gRPC client on a Unix domain socket: GreeterClient PATH NAME. */
public final class GreeterClient {
  private GreeterClient() {}

  public static void main(String[] args) {
    var threads = new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
    ManagedChannel channel =
        NettyChannelBuilder.forAddress(new DomainSocketAddress(args[0]))
            .channelType(EpollDomainSocketChannel.class, DomainSocketAddress.class)
            .eventLoopGroup(threads)
            .usePlaintext()
            // By default the path is sent as :authority, which servers in C# and Rust refuse.
            .overrideAuthority("localhost")
            .build();
    try {
      var greeter =
          GreeterServiceGrpc.newBlockingStub(channel).withDeadlineAfter(5, TimeUnit.SECONDS);
      var request = GreetRequest.newBuilder().setName(args[1]).build();
      System.out.println(greeter.greet(request).getMessage());
    } finally {
      channel.shutdown();
      threads.shutdownGracefully(0, 1, TimeUnit.SECONDS);
    }
  }
}
