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
 * What a server and its successor talk over: says lines of JSON, and hears one. A connection that
 * ends says that the other one is gone.
 */
final class ControlConnection extends SimpleChannelInboundHandler<ByteBuf>
    implements AutoCloseable {
  static final JsonObject RELEASED = event("released");
  static final JsonObject PUBLISHED = event("published");

  /** Said by nobody, and stands for all that is none of the messages. */
  private static final JsonElement FAILED = JsonNull.INSTANCE;

  private static final int MAX_LINE_BYTES = 4096;

  private final CompletableFuture<JsonElement> heard = new CompletableFuture<>();
  private Channel channel;

  void say(JsonObject event) {
    channel.writeAndFlush(Unpooled.copiedBuffer(event + "\n", UTF_8)).awaitUninterruptibly();
  }

  /** What the other one has said first; null where it has said nothing within the patience. */
  JsonElement hear(Duration patience) throws InterruptedException {
    try {
      return heard.get(patience.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      return null;
    } catch (ExecutionException e) {
      throw new AssertionError("it never completes with an exception", e);
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
      CharBuffer text = UTF_8.newDecoder().decode(line.nioBuffer()); // which refuses other bytes
      heard.complete(JsonParser.parseString(text.toString()));
    } catch (CharacterCodingException | JsonParseException e) {
      heard.complete(FAILED);
    }
  }

  @Override
  public void channelInactive(ChannelHandlerContext context) {
    heard.complete(FAILED);
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
    heard.complete(FAILED);
  }

  private static JsonObject event(String name) {
    JsonObject event = new JsonObject();
    event.addProperty("event", name);
    return event;
  }
}
