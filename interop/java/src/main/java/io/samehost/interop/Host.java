package io.samehost.interop;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** This machine or container. */
final class Host {
  private Host() {}

  /** Returns the name of gethostname(2). The JDK's method needs a network. */
  static String name() {
    try {
      return Files.readString(Path.of("/proc/sys/kernel/hostname")).strip();
    } catch (IOException e) {
      return "localhost";
    }
  }
}
