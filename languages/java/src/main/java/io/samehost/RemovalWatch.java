package io.samehost;

import io.netty.util.concurrent.DefaultThreadFactory;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * Notices that someone has removed the file of a server that serves, or put another in its place.
 *
 * <p>A {@code WatchService} would do so at once, but takes one of the 128 inotify instances that a
 * user has, and hears nothing of what the other side of a network mount does (inotify(7)).
 */
final class RemovalWatch implements AutoCloseable {

  /** Clients that wait for a server dial about as often, and a look takes some microseconds. */
  private static final Duration PACE = Duration.ofSeconds(1);

  /** Not an event loop: a look has to wait while the lock changes hands. */
  private final ScheduledExecutorService timer =
      Executors.newSingleThreadScheduledExecutor(
          new DefaultThreadFactory("watch", /* daemon= */ true));

  /** Looks again and again, until the file is lost, which is told once, or {@link #close}. */
  RemovalWatch(BooleanSupplier isLost, Runnable lost) {
    timer.scheduleWithFixedDelay(
        () -> {
          if (isLost.getAsBoolean()) {
            close();
            lost.run();
          }
        },
        PACE.toMillis(),
        PACE.toMillis(),
        TimeUnit.MILLISECONDS);
  }

  @Override
  public void close() {
    timer.shutdown();
  }
}
