package io.samehost.interop;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** This machine or container. */
final class Host {
  private Host() {}

  /** Its name, as gethostname(2) has it; the JDK's way asks the network, which may not be there. */
  static String name() {
    try {
      return Files.readString(Path.of("/proc/sys/kernel/hostname")).strip();
    } catch (IOException e) {
      return "localhost";
    }
  }
}
