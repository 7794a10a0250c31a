package io.samehost.cli;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import sun.misc.Signal;

/**
 * Handles SIGTERM and SIGINT. The first signal requests a stop. The second one ends the process at
 * once, with exit code 0.
 *
 * <p>A shutdown hook is not enough: the JVM exits with 143 after it, and ignores a second signal
 * while it runs. {@code sun.misc.Signal} stays in the JDK until a replacement exists (JEP 260,
 * "critical internal APIs").
 */
final class StopSignals {
  private final CountDownLatch stopRequested = new CountDownLatch(1);
  private final AtomicBoolean first = new AtomicBoolean(true);
  private volatile Runnable beforeHalt = () -> {};

  /** The thread that starts the server; null when the server has started. */
  private Thread starting = Thread.currentThread();

  /** Handles signals. Until {@link #started}, the first one interrupts this thread. */
  StopSignals() {
    for (String name : new String[] {"TERM", "INT"}) {
      Signal.handle(new Signal(name), signal -> received());
    }
  }

  /**
   * Marks the server as started.
   *
   * @param last runs before the second signal ends the process
   */
  synchronized void started(Runnable last) {
    beforeHalt = last;
    starting = null;
    Thread.interrupted(); // if the first signal came after the start
  }

  /** Requests a stop without counting as the first signal. */
  void stop() {
    stopRequested.countDown();
  }

  /** Waits for the request to stop. */
  void await() throws InterruptedException {
    stopRequested.await();
  }

  private void received() {
    if (first.getAndSet(false)) {
      stopRequested.countDown();
      interruptStart();
      return;
    }
    beforeHalt.run();
    Runtime.getRuntime().halt(Main.EXIT_DONE);
  }

  private synchronized void interruptStart() {
    if (starting != null) {
      starting.interrupt();
    }
  }
}
