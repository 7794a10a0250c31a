package io.samehost;

import io.grpc.netty.NettyServerBuilder;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ServerChannel;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.handler.codec.http2.Http2ConnectionDecoder;
import io.netty.handler.codec.http2.Http2ConnectionHandler;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.codec.http2.Http2FrameListenerDecorator;

/**
 * Lets a server that drains hear of every call that was begun before its client knew.
 *
 * <p>grpc-java sends GOAWAY and a ping, and takes no more calls when that is acknowledged
 * (NettyServerHandler.GracefulShutdown). But C-core writes acknowledgements before all else, so the
 * first frames of a call may come just behind; Netty refuses such a call, and breaks the connection
 * with all others when its WINDOW_UPDATE comes (DefaultHttp2ConnectionDecoder.onWindowUpdateRead).
 * So we ping once more: whatever was behind the first acknowledgement is before the second.
 */
final class SecondPing extends ChannelInboundHandlerAdapter {

  /** NettyServerHandler.GRACEFUL_SHUTDOWN_PING; keepalive's pings have another payload. */
  private static final long PAYLOAD = 0x97ACEF001L;

  private SecondPing() {}

  /** A socket that listens, for {@link NettyServerBuilder#channelFactory}. */
  static ServerChannel listener() {
    ServerChannel listener = new EpollServerDomainSocketChannel();
    listener
        .pipeline()
        .addFirst(
            new ChannelInboundHandlerAdapter() {
              @Override
              public void channelRead(ChannelHandlerContext context, Object accepted) {
                ((Channel) accepted).pipeline().addFirst(new SecondPing());
                context.fireChannelRead(accepted);
              }
            });
    return listener;
  }

  /** The first bytes after gRPC's own handler has come, which with TLS is after the handshake. */
  @Override
  public void channelRead(ChannelHandlerContext context, Object bytes) {
    Http2ConnectionHandler http2 = context.pipeline().get(Http2ConnectionHandler.class);
    if (http2 != null) {
      pingAgain(http2);
    }
    context.fireChannelRead(bytes);
    if (http2 != null) {
      context.pipeline().remove(this);
    }
  }

  private static void pingAgain(Http2ConnectionHandler http2) {
    Http2ConnectionDecoder decoder = http2.decoder();
    decoder.frameListener(
        new Http2FrameListenerDecorator(decoder.frameListener()) {
          private boolean again;

          @Override
          public void onPingAckRead(ChannelHandlerContext connection, long data)
              throws Http2Exception {
            if (data != PAYLOAD || again) {
              super.onPingAckRead(connection, data);
              return;
            }
            again = true;
            http2.encoder().writePing(connection, /* ack= */ false, data, connection.newPromise());
            http2.flush(connection);
          }
        });
  }
}
