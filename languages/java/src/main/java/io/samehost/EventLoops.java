package io.samehost;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.util.concurrent.DefaultThreadFactory;

/**
 * The threads in which Netty reads and writes, shared by all servers and channels of this process.
 *
 * <p>They are Netty's epoll ones, of native code, because the JDK's own Unix domain sockets take no
 * path of more than 106 bytes, one less than Linux does ({@code MAX_UNIX_DOMAIN_PATH_LEN} in the
 * JDK's UnixDomainSockets.c), and grpc-java has no other transport for them.
 */
final class EventLoops {
  static final EventLoopGroup SHARED =
      new MultiThreadIoEventLoopGroup(
          new DefaultThreadFactory("socket", /* daemon= */ true), EpollIoHandler.newFactory());

  private EventLoops() {}
}
