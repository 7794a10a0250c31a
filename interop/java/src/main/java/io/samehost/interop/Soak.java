package io.samehost.interop;

import io.grpc.StatusException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Repeats a call. Each iteration must be in time, and no failure is allowed. */
final class Soak {

  /** The defaults of the official clients. */
  private static final int ITERATIONS = 10;

  private static final Duration ITERATION = Duration.ofSeconds(1);

  private Soak() {}

  static void run(Checks.Call iteration) throws Exception {
    List<String> faults = new ArrayList<>();
    long last = System.nanoTime() + ITERATION.multipliedBy(ITERATIONS).toNanos();
    int done = 0;
    for (; done < ITERATIONS && System.nanoTime() < last; done++) {
      long started = System.nanoTime();
      try {
        iteration.run();
        Duration taken = Duration.ofNanos(System.nanoTime() - started);
        if (taken.compareTo(ITERATION) > 0) {
          faults.add("took " + taken.toMillis() + " ms");
        }
      } catch (CaseFailure | StatusException failure) {
        faults.add(failure.getMessage());
      }
    }
    Checks.equal("number of iterations in time", done, ITERATIONS);
    if (!faults.isEmpty()) {
      throw new CaseFailure(
          "failed iterations", "none", faults.size() + ", first: " + faults.get(0));
    }
  }
}
