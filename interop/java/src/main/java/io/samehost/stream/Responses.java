package io.samehost.stream;

import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.Collections;
import java.util.Iterator;
import java.util.function.Function;

/**
 * Sends the responses of a stream no faster than its client reads them. Without this, responses
 * would pile up in memory.
 *
 * <p>Construct it before the method of the service returns. All methods run one after the other in
 * the executor of the call, so nothing is synchronized.
 */
public final class Responses<T> {
  private final ServerCallStreamObserver<T> call;
  private Iterator<T> pending = Collections.emptyIterator();
  private Runnable whenSent;

  public Responses(StreamObserver<T> observer) {
    call = (ServerCallStreamObserver<T>) observer;
    call.setOnReadyHandler(this::drain);
    // Without a handler, onNext throws after the client cancels.
    call.setOnCancelHandler(() -> {});
  }

  /** Sends these responses and completes the call. */
  public void sendAll(Iterator<T> responses) {
    send(responses, call::onCompleted);
  }

  /**
   * Answers the requests one after the other.
   *
   * @param answer returns the responses to a request, or throws the status that ends the call
   */
  public <R> StreamObserver<R> answerEach(Function<R, Iterator<T>> answer) {
    call.disableAutoRequest();
    call.request(1);
    return new EachRequest<>(answer);
  }

  private void send(Iterator<T> responses, Runnable afterwards) {
    pending = responses;
    whenSent = afterwards;
    drain();
  }

  private void drain() {
    while (whenSent != null && !Context.current().isCancelled()) {
      if (!pending.hasNext()) {
        Runnable done = whenSent;
        whenSent = null;
        done.run();
      } else if (call.isReady()) {
        call.onNext(pending.next());
      } else {
        return;
      }
    }
  }

  private final class EachRequest<R> implements StreamObserver<R> {
    private final Function<R, Iterator<T>> answer;
    private boolean refused;
    private boolean noMoreRequests;

    EachRequest(Function<R, Iterator<T>> answer) {
      this.answer = answer;
    }

    @Override
    public void onNext(R request) {
      try {
        send(answer.apply(request), this::next);
      } catch (StatusRuntimeException refusal) {
        refused = true;
        call.onError(refusal);
      }
    }

    @Override
    public void onCompleted() {
      noMoreRequests = true;
      if (whenSent == null && !refused) {
        call.onCompleted();
      }
    }

    @Override
    public void onError(Throwable cancelled) {
      whenSent = null;
    }

    private void next() {
      if (noMoreRequests) {
        call.onCompleted();
      } else {
        call.request(1);
      }
    }
  }
}
