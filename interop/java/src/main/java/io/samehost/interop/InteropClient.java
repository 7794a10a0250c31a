package io.samehost.interop;

import com.google.gson.annotations.SerializedName;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.samehost.SamehostException;
import io.samehost.SocketChannelBuilder;
import io.samehost.SocketPath;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** Runs cases one after the other, each on a new channel, and reports each result. */
public final class InteropClient {

  /** How long to wait for the server before the first case. */
  private static final Duration WAIT = Duration.ofSeconds(5);

  /** The official cases that need an account of Google Cloud. */
  private static final Set<String> NEED_GOOGLE_CREDENTIALS =
      Set.of(
          "compute_engine_channel_credentials",
          "compute_engine_creds",
          "google_default_credentials",
          "jwt_token_creds",
          "oauth2_auth_token",
          "per_rpc_creds");

  private final SocketPath socket;

  public InteropClient(SocketPath socket) {
    this.socket = socket;
  }

  /** The result of a case. {@code detail} is empty if the case passed. */
  public record Result(
      @SerializedName("case") String name, String result, String detail, double ms) {
    static final String PASS = "pass";
  }

  public static boolean isCase(String name) {
    return InteropCases.BY_NAME.containsKey(name) || NEED_GOOGLE_CREDENTIALS.contains(name);
  }

  /** Runs the cases, reports each result at once, and returns whether all passed. */
  public boolean run(List<String> names, Consumer<Result> report)
      throws SamehostException, InterruptedException {
    SocketChannelBuilder.forPath(socket).connect(WAIT).shutdownNow();
    boolean passed = true;
    for (String name : names) {
      Result result = run(name);
      report.accept(result);
      passed &= result.result().equals(Result.PASS);
    }
    return passed;
  }

  private Result run(String name) throws InterruptedException {
    InteropCases.Case test = InteropCases.BY_NAME.get(name);
    if (test == null) {
      return new Result(
          name,
          "unimplemented",
          "this client does not have the case, because it needs Google credentials",
          0);
    }
    long started = System.nanoTime();
    String detail = fault(test).strip().replaceAll("\\s+", " ");
    double ms = Math.round((System.nanoTime() - started) / 1e5) / 10.0;
    return new Result(name, detail.isEmpty() ? Result.PASS : "fail", detail, ms);
  }

  private String fault(InteropCases.Case test) throws InterruptedException {
    ManagedChannel channel = SocketChannelBuilder.forPath(socket).build();
    try {
      test.run(new InteropCases(socket, channel));
      return "";
    } catch (CaseFailure failure) {
      return failure.getMessage();
    } catch (StatusException | StatusRuntimeException failure) {
      Status status = Status.fromThrowable(failure);
      return "status: expected OK, got %s '%s'"
          .formatted(status.getCode(), status.getDescription());
    } catch (InterruptedException e) {
      throw e;
    } catch (Exception unexpected) {
      return unexpected.toString();
    } finally {
      channel.shutdownNow();
      channel.awaitTermination(1, TimeUnit.SECONDS);
    }
  }
}
