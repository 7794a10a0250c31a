package io.samehost.cli;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import sun.misc.Signal;

/**
 * SIGTERM and SIGINT: the first one asks to stop, the second one ends the process at once, with 0.
 *
 * <p>A shutdown hook would not do: the JVM exits with 143 after it, and hears no second signal
 * while it runs. {@code sun.misc.Signal} is not going away before there is something in its place
 * (JEP 260, "critical internal APIs").
 */
final class StopSignals {
  private final CountDownLatch asked = new CountDownLatch(1);
  private final AtomicBoolean first = new AtomicBoolean(true);
  private volatile Runnable beforeHalt = () -> {};

  StopSignals() {
    for (String name : new String[] {"TERM", "INT"}) {
      Signal.handle(new Signal(name), signal -> heard());
    }
  }

  /** What the second signal leaves time for. */
  void beforeHalt(Runnable last) {
    beforeHalt = last;
  }

  /** Asks to stop as the first signal does, and is none. */
  void stop() {
    asked.countDown();
  }

  /** Waits until it is asked to stop. */
  void await() throws InterruptedException {
    asked.await();
  }

  private void heard() {
    if (first.getAndSet(false)) {
      asked.countDown();
      return;
    }
    beforeHalt.run();
    Runtime.getRuntime().halt(Main.EXIT_DONE);
  }
}
