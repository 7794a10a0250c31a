package io.samehost.interop;

/** A case failed. The message has the expected and the actual value. */
final class CaseFailure extends Exception {
  private static final long serialVersionUID = 1;

  CaseFailure(String what, Object expected, Object got) {
    super("%s: expected %s, got %s".formatted(what, expected, got));
  }
}
