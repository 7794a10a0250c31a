package io.samehost;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;

import java.nio.file.Path;
import java.util.List;
import org.junit.Test;

public class SocketPathTest {
  @Test
  public void allFormsGiveTheSameAddress() {
    for (String form : List.of("/run/a.sock", "unix:/run/a.sock", "unix:///run/a.sock")) {
      assertEquals("unix:/run/a.sock", SocketPath.of(form).toString());
    }
  }

  @Test
  public void acceptsAPathOf107Bytes() {
    String longest = "/" + "é".repeat(53);
    assertEquals("unix:" + longest, SocketPath.of(longest).toString());
    assertThrows(IllegalArgumentException.class, () -> SocketPath.of(longest + "x"));
  }

  @Test
  public void theConstructorRefusesAnInvalidPath() {
    assertThrows(IllegalArgumentException.class, () -> new SocketPath(Path.of("a.sock")));
    assertThrows(IllegalArgumentException.class, () -> new SocketPath(Path.of("/")));
  }

  @Test
  public void refusesInvalidAddresses() {
    for (String address :
        List.of("", "a.sock", "unix:a.sock", "unix://run/a.sock", "/run/", "/a?b", "/a\nb")) {
      assertThrows(address, IllegalArgumentException.class, () -> SocketPath.of(address));
    }
  }
}
