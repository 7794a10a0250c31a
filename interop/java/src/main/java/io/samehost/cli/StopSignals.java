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

  /** The thread that starts a server; null once it serves. */
  private Thread starting = Thread.currentThread();

  /** Hears signals; the first one interrupts this thread, until {@link #started}. */
  StopSignals() {
    for (String name : new String[] {"TERM", "INT"}) {
      Signal.handle(new Signal(name), signal -> heard());
    }
  }

  /**
   * The server serves.
   *
   * @param last what the second signal leaves time for
   */
  synchronized void started(Runnable last) {
    beforeHalt = last;
    starting = null;
    Thread.interrupted(); // where the first signal came too late for the start
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
