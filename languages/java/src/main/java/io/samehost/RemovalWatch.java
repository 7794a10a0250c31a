package io.samehost;

import io.netty.util.concurrent.DefaultThreadFactory;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * Notices that the socket file of a running server was removed or replaced.
 *
 * <p>A {@code WatchService} would notice it at once. But it takes one of the 128 inotify instances
 * of the user, and it does not see changes by other hosts on a network mount (inotify(7)).
 */
final class RemovalWatch implements AutoCloseable {

  /** Waiting clients connect about as often, and a check takes some microseconds. */
  private static final Duration INTERVAL = Duration.ofSeconds(1);

  /** Not an event loop, because a check waits while the lock changes hands. */
  private final ScheduledExecutorService timer =
      Executors.newSingleThreadScheduledExecutor(
          new DefaultThreadFactory("watch", /* daemon= */ true));

  /** Checks every second until {@link #close}, or until the file is lost, and runs {@code lost}. */
  RemovalWatch(BooleanSupplier isLost, Runnable lost) {
    timer.scheduleWithFixedDelay(
        () -> {
          if (isLost.getAsBoolean()) {
            close();
            lost.run();
          }
        },
        INTERVAL.toMillis(),
        INTERVAL.toMillis(),
        TimeUnit.MILLISECONDS);
  }

  @Override
  public void close() {
    timer.shutdown();
  }
}
