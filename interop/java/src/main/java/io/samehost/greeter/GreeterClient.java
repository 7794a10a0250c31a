package io.samehost.greeter;

import io.grpc.Channel;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import samehost.greeter.v1.Greeter.ConverseRequest;
import samehost.greeter.v1.Greeter.ConverseResponse;
import samehost.greeter.v1.Greeter.GreetInLanguagesRequest;
import samehost.greeter.v1.Greeter.GreetInLanguagesResponse;
import samehost.greeter.v1.Greeter.GreetRequest;
import samehost.greeter.v1.Greeter.GreetTogetherRequest;
import samehost.greeter.v1.Greeter.GreetTogetherResponse;
import samehost.greeter.v1.GreeterServiceGrpc;
import samehost.greeter.v1.GreeterServiceGrpc.GreeterServiceBlockingV2Stub;

/** Makes all four kinds of call of the greeter service, one after the other. */
public final class GreeterClient {
  private static final List<UnaryOperator<String>> WORDS =
      List.of(heard -> "I heard: " + heard, heard -> "Goodbye!");

  private final Channel channel;
  private final String name;
  private final Duration timeout;

  /**
   * @param timeout the deadline of each call, including the wait for the server
   */
  public GreeterClient(Channel channel, String name, Duration timeout) {
    this.channel = channel;
    this.name = name;
    this.timeout = timeout;
  }

  /** The messages that one call sent and received, in order. */
  public record Exchange(String method, List<String> sent, List<String> received) {}

  /** Makes the calls, and passes on the messages of each call when it ends. */
  public void greet(Consumer<Exchange> onExchange) throws StatusException, InterruptedException {
    onExchange.accept(greet());
    onExchange.accept(greetInLanguages());
    onExchange.accept(greetTogether());
    onExchange.accept(converse());
  }

  private Exchange greet() throws StatusException, InterruptedException {
    String message = stub().greet(GreetRequest.newBuilder().setName(name).build()).getMessage();
    return new Exchange("Greet", List.of(name), List.of(message));
  }

  private Exchange greetInLanguages() throws StatusException, InterruptedException {
    BlockingClientCall<?, GreetInLanguagesResponse> call =
        stub().greetInLanguages(GreetInLanguagesRequest.newBuilder().setName(name).build());
    List<String> received = new ArrayList<>();
    while (call.hasNext()) {
      GreetInLanguagesResponse greeting = call.read();
      received.add(greeting.getLanguage() + ": " + greeting.getMessage());
    }
    return new Exchange("GreetInLanguages", List.of(name), received);
  }

  private Exchange greetTogether() throws StatusException, InterruptedException {
    BlockingClientCall<GreetTogetherRequest, GreetTogetherResponse> call = stub().greetTogether();
    List<String> party = List.of(name, "Grace", "Edsger");
    for (String guest : party) {
      call.write(GreetTogetherRequest.newBuilder().setName(guest).build());
    }
    call.halfClose();
    return new Exchange("GreetTogether", party, List.of(call.read().getMessage()));
  }

  private Exchange converse() throws StatusException, InterruptedException {
    BlockingClientCall<ConverseRequest, ConverseResponse> call = stub().converse();
    Exchange exchange = new Exchange("Converse", new ArrayList<>(), new ArrayList<>());
    Iterator<UnaryOperator<String>> words = WORDS.iterator();
    send(name + " here.", call, exchange);
    while (call.hasNext()) {
      String heard = call.read().getText();
      exchange.received().add(heard);
      if (words.hasNext()) {
        send(words.next().apply(heard), call, exchange);
      } else {
        call.halfClose();
      }
    }
    return exchange;
  }

  private static void send(
      String text, BlockingClientCall<ConverseRequest, ConverseResponse> call, Exchange exchange)
      throws StatusException, InterruptedException {
    call.write(ConverseRequest.newBuilder().setText(text).build());
    exchange.sent().add(text);
  }

  private GreeterServiceBlockingV2Stub stub() {
    return GreeterServiceGrpc.newBlockingV2Stub(channel)
        .withWaitForReady()
        .withDeadlineAfter(timeout.toMillis(), TimeUnit.MILLISECONDS);
  }
}
