package io.samehost;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.util.concurrent.DefaultThreadFactory;

/**
 * The threads of Netty, shared by all servers and channels of this process.
 *
 * <p>They use the native epoll transport, because grpc-java has no other transport for Unix domain
 * sockets. The JDK's own sockets also accept at most 106 bytes of path, one less than Linux ({@code
 * MAX_UNIX_DOMAIN_PATH_LEN} in the JDK's UnixDomainSockets.c).
 */
final class EventLoops {
  static final EventLoopGroup SHARED =
      new MultiThreadIoEventLoopGroup(
          new DefaultThreadFactory("socket", /* daemon= */ true), EpollIoHandler.newFactory());

  private EventLoops() {}
}
