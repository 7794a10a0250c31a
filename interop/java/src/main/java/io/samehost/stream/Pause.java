package io.samehost.stream;

import io.grpc.Context;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Pauses a call. The pause ends early if the call ends. */
public final class Pause {
  private Pause() {}

  /** Waits in the call that this thread handles. */
  public static void of(Duration duration) {
    if (duration.isZero() || duration.isNegative()) {
      return;
    }
    CountDownLatch ended = new CountDownLatch(1);
    Context.CancellationListener listener = call -> ended.countDown();
    Context.current().addListener(listener, Runnable::run);
    try {
      ended.await(duration.toNanos(), TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      Context.current().removeListener(listener);
    }
  }
}
