package io.samehost.interop;

/** A case did not go as its description says; the message has what was expected and what came. */
final class CaseFailure extends Exception {
  private static final long serialVersionUID = 1;

  CaseFailure(String what, Object expected, Object got) {
    super("%s: expected %s, got %s".formatted(what, expected, got));
  }
}
