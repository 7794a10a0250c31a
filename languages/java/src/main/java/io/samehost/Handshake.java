package io.samehost;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Checks whether the server on a socket speaks HTTP/2. */
final class Handshake {

  /** How long to wait for the first frame. On one machine it takes milliseconds. */
  private static final Duration TIMEOUT = Duration.ofSeconds(1);

  /** RFC 9113, 3.4 and 4.1: the client's preface and an empty SETTINGS frame. */
  private static final byte[] PREFACE =
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0".getBytes(ISO_8859_1);

  private static final int FRAME_HEADER_BYTES = 9;
  private static final int TYPE_OFFSET = 3;
  private static final int SETTINGS = 4;

  private Handshake() {}

  /** Throws unless the server speaks HTTP/2. */
  static void check(SocketPath socket) throws NotGrpcException {
    FirstBytes first = new FirstBytes();
    ChannelFuture connecting =
        new Bootstrap()
            .group(EventLoops.SHARED)
            .channel(EpollDomainSocketChannel.class)
            .handler(first)
            .connect(socket.address());
    connecting.addListener(
        connected -> {
          if (!connected.isSuccess()) {
            first.received.completeExceptionally(connected.cause());
          }
        });
    try {
      check(first.received.get(TIMEOUT.toMillis(), TimeUnit.MILLISECONDS), socket);
    } catch (TimeoutException e) {
      throw new NotGrpcException(
          ("cannot connect to %s: the server sent nothing within %d s;"
                  + " check that it is a gRPC server and that it is not blocked")
              .formatted(socket.path(), TIMEOUT.toSeconds()));
    } catch (ExecutionException e) {
      throw closed(socket, ": " + Reasons.of(e.getCause()));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw closed(socket, ": interrupted");
    } finally {
      connecting.channel().close();
    }
  }

  private static void check(byte[] answer, SocketPath socket) throws NotGrpcException {
    if (answer.length == 0) {
      throw closed(socket, "");
    }
    if (answer.length == FRAME_HEADER_BYTES && answer[TYPE_OFFSET] == SETTINGS) {
      return;
    }
    throw new NotGrpcException(
        ("cannot connect to %s: the server does not speak HTTP/2, its answer starts with '%s';"
                + " use the path of a gRPC server")
            .formatted(
                socket.path(), new String(answer, ISO_8859_1).replaceAll("\\p{Cntrl}", ".")));
  }

  private static NotGrpcException closed(SocketPath socket, String reason) {
    return new NotGrpcException(
        "cannot connect to %s: the server closed the connection%s; check that it is a gRPC server"
            .formatted(socket.path(), reason));
  }

  /** Sends the preface, and completes with the first bytes of the answer. */
  private static final class FirstBytes extends SimpleChannelInboundHandler<ByteBuf> {
    final CompletableFuture<byte[]> received = new CompletableFuture<>();
    private final ByteBuf answer = Unpooled.buffer();

    @Override
    public void channelActive(ChannelHandlerContext context) {
      context.writeAndFlush(Unpooled.wrappedBuffer(PREFACE));
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, ByteBuf data) {
      answer.writeBytes(data);
      if (answer.readableBytes() >= FRAME_HEADER_BYTES) {
        complete();
      }
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
      complete();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
      received.completeExceptionally(cause);
    }

    private void complete() {
      byte[] first = new byte[Math.min(answer.readableBytes(), FRAME_HEADER_BYTES)];
      answer.getBytes(0, first);
      received.complete(first);
    }
  }
}
