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
 * Lets a draining server receive every call that a client started before it knew of the drain.
 *
 * <p>grpc-java sends GOAWAY and a ping, and refuses calls after the acknowledgement of the ping
 * (NettyServerHandler.GracefulShutdown). But C-core writes acknowledgements before all other
 * frames, so the first frames of a call may follow the acknowledgement. Netty refuses such a call.
 * When a WINDOW_UPDATE of the refused call arrives, Netty also breaks the connection with all other
 * calls (DefaultHttp2ConnectionDecoder.onWindowUpdateRead).
 *
 * <p>Therefore this handler sends a second ping. All frames that followed the first acknowledgement
 * arrive before the second one.
 */
final class SecondPing extends ChannelInboundHandlerAdapter {

  /** NettyServerHandler.GRACEFUL_SHUTDOWN_PING. The pings of keepalive have another payload. */
  private static final long PAYLOAD = 0x97ACEF001L;

  private SecondPing() {}

  /** Creates a listening socket for {@link NettyServerBuilder#channelFactory}. */
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

  /** Waits for the first bytes after gRPC added its handler. With TLS the handshake is first. */
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
