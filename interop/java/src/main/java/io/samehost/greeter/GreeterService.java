package io.samehost.greeter;

import com.google.common.collect.ImmutableMap;
import com.google.protobuf.Duration;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import io.samehost.stream.Pause;
import io.samehost.stream.Responses;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import samehost.greeter.v1.Greeter.ConverseRequest;
import samehost.greeter.v1.Greeter.ConverseResponse;
import samehost.greeter.v1.Greeter.GreetInLanguagesRequest;
import samehost.greeter.v1.Greeter.GreetInLanguagesResponse;
import samehost.greeter.v1.Greeter.GreetRequest;
import samehost.greeter.v1.Greeter.GreetResponse;
import samehost.greeter.v1.Greeter.GreetTogetherRequest;
import samehost.greeter.v1.Greeter.GreetTogetherResponse;
import samehost.greeter.v1.GreeterServiceGrpc;

/** The greeter service, with one method for each of gRPC's four kinds of call. */
public final class GreeterService extends GreeterServiceGrpc.GreeterServiceImplBase {
  private static final ImmutableMap<String, String> GREETINGS =
      ImmutableMap.of(
          "de", "Hallo, %s!",
          "en", "Hello, %s!",
          "es", "¡Hola, %s!",
          "fr", "Bonjour, %s !",
          "ja", "こんにちは、%sさん！");
  private static final int MAX_NAME = 256;
  private static final int MAX_TEXT = 4096;
  private static final int MAX_INTERVAL_SECONDS = 60;

  @Override
  public void greet(GreetRequest request, StreamObserver<GreetResponse> observer) {
    try {
      checkName(request.getName());
    } catch (StatusRuntimeException refusal) {
      observer.onError(refusal);
      return;
    }
    observer.onNext(GreetResponse.newBuilder().setMessage(hello(request.getName())).build());
    observer.onCompleted();
  }

  @Override
  public void greetInLanguages(
      GreetInLanguagesRequest request, StreamObserver<GreetInLanguagesResponse> observer) {
    try {
      checkLanguages(request);
    } catch (StatusRuntimeException refusal) {
      observer.onError(refusal);
      return;
    }
    new Responses<>(observer).sendAll(greetings(request));
  }

  @Override
  public StreamObserver<GreetTogetherRequest> greetTogether(
      StreamObserver<GreetTogetherResponse> observer) {
    return new Party(observer);
  }

  @Override
  public StreamObserver<ConverseRequest> converse(StreamObserver<ConverseResponse> observer) {
    AtomicInteger turn = new AtomicInteger();
    return new Responses<>(observer)
        .answerEach(
            (ConverseRequest request) -> {
              checkText(request.getText());
              return List.of(answer(request.getText(), turn.incrementAndGet())).iterator();
            });
  }

  private static Iterator<GreetInLanguagesResponse> greetings(GreetInLanguagesRequest request) {
    List<String> languages =
        request.getLanguagesCount() > 0 ? request.getLanguagesList() : GREETINGS.keySet().asList();
    java.time.Duration interval =
        java.time.Duration.ofSeconds(
            request.getInterval().getSeconds(), request.getInterval().getNanos());
    return Stream.iterate(0, i -> i < languages.size(), i -> i + 1)
        .map(
            i -> {
              if (i > 0) {
                Pause.of(interval);
              }
              return GreetInLanguagesResponse.newBuilder()
                  .setLanguage(languages.get(i))
                  .setMessage(GREETINGS.get(languages.get(i)).formatted(request.getName()))
                  .build();
            })
        .iterator();
  }

  private static ConverseResponse answer(String text, int turn) {
    return ConverseResponse.newBuilder()
        .setText(text.isEmpty() ? "You said nothing." : "You said: " + text)
        .setTurn(turn)
        .build();
  }

  private static String hello(String name) {
    return GREETINGS.get("en").formatted(name);
  }

  private static void checkName(String name) {
    int size = name.codePointCount(0, name.length());
    if (size < 1 || size > MAX_NAME) {
      throw refusal("name has %d characters; give 1 to %d".formatted(size, MAX_NAME));
    }
  }

  private static void checkText(String text) {
    int size = text.codePointCount(0, text.length());
    if (size > MAX_TEXT) {
      throw refusal("text has %d characters; give at most %d".formatted(size, MAX_TEXT));
    }
  }

  private static void checkLanguages(GreetInLanguagesRequest request) {
    for (String language : request.getLanguagesList()) {
      if (!GREETINGS.containsKey(language)) {
        throw refusal(
            "languages has '%s'; the server knows %s"
                .formatted(language, String.join(", ", GREETINGS.keySet())));
      }
    }
    Duration interval = request.getInterval();
    double seconds = interval.getSeconds() + interval.getNanos() / 1e9;
    if (seconds < 0 || seconds > MAX_INTERVAL_SECONDS) {
      throw refusal(
          "interval is %s seconds; give 0 to %d".formatted(seconds, MAX_INTERVAL_SECONDS));
    }
    checkName(request.getName());
  }

  private static StatusRuntimeException refusal(String fault) {
    return Status.INVALID_ARGUMENT.withDescription(fault).asRuntimeException();
  }

  /** Collects the guests of one GreetTogether call. */
  private static final class Party implements StreamObserver<GreetTogetherRequest> {
    private final StreamObserver<GreetTogetherResponse> observer;
    private final List<String> names = new ArrayList<>();
    private boolean refused;

    Party(StreamObserver<GreetTogetherResponse> observer) {
      this.observer = observer;
    }

    @Override
    public void onNext(GreetTogetherRequest request) {
      if (refused) {
        return; // The client may have sent more before it received the error.
      }
      try {
        checkName(request.getName());
        names.add(request.getName());
      } catch (StatusRuntimeException refusal) {
        refused = true;
        observer.onError(refusal);
      }
    }

    @Override
    public void onCompleted() {
      if (refused) {
        return;
      }
      if (names.isEmpty()) {
        observer.onError(refusal("the stream has no request; send at least one name"));
        return;
      }
      observer.onNext(
          GreetTogetherResponse.newBuilder()
              .setMessage(hello(everyone()))
              .setCount(names.size())
              .build());
      observer.onCompleted();
    }

    @Override
    public void onError(Throwable cancelled) {}

    private String everyone() {
      int last = names.size() - 1;
      return last == 0
          ? names.get(0)
          : String.join(", ", names.subList(0, last)) + " and " + names.get(last);
    }
  }
}
