package io.samehost;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.handler.codec.LineBasedFrameDecoder;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * The connection between a server and its successor. It sends lines of JSON and receives one. It
 * ends when the other process ends.
 */
final class ControlConnection extends SimpleChannelInboundHandler<ByteBuf>
    implements AutoCloseable {
  static final JsonObject RELEASED = event("released");
  static final JsonObject PUBLISHED = event("published");

  /** Stands for the end of the connection, and for input that is not a message. */
  private static final JsonElement INVALID = JsonNull.INSTANCE;

  private static final int MAX_LINE_BYTES = 4096;

  private final CompletableFuture<JsonElement> received = new CompletableFuture<>();
  private Channel channel;

  void send(JsonObject event) {
    channel.writeAndFlush(Unpooled.copiedBuffer(event + "\n", UTF_8)).awaitUninterruptibly();
  }

  /** Waits for the first message, and returns null if none arrives within the timeout. */
  JsonElement receive(Duration timeout) throws InterruptedException {
    try {
      return received.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      return null;
    } catch (ExecutionException e) {
      throw new AssertionError("the future never completes with an exception", e);
    }
  }

  @Override
  public void close() {
    channel.close();
  }

  @Override
  public void handlerAdded(ChannelHandlerContext context) {
    channel = context.channel();
    channel
        .pipeline()
        .addFirst(
            new LineBasedFrameDecoder(
                MAX_LINE_BYTES, /* stripDelimiter= */ true, /* failFast= */ true));
  }

  @Override
  protected void channelRead0(ChannelHandlerContext context, ByteBuf line) {
    try {
      CharBuffer text = UTF_8.newDecoder().decode(line.nioBuffer()); // rejects invalid UTF-8
      received.complete(JsonParser.parseString(text.toString()));
    } catch (CharacterCodingException | JsonParseException e) {
      received.complete(INVALID);
    }
  }

  @Override
  public void channelInactive(ChannelHandlerContext context) {
    received.complete(INVALID);
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
    received.complete(INVALID);
  }

  private static JsonObject event(String name) {
    JsonObject event = new JsonObject();
    event.addProperty("event", name);
    return event;
  }
}
