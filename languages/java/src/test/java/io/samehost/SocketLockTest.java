package io.samehost;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.After;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class SocketLockTest {
  @Rule public final TemporaryFolder temporary = new TemporaryFolder(new File("/tmp"));

  private Path path;
  private Path data;
  private Folder folder;

  @Before
  public void setUp() throws Exception {
    folder = Folder.open(temporary.getRoot().toPath());
    path = temporary.getRoot().toPath().resolve("a.sock.lock");
    data = Files.createFile(temporary.getRoot().toPath().resolve("data"));
    Files.setAttribute(data, "unix:mode", 0640);
  }

  @After
  public void tearDown() {
    folder.close();
  }

  @Test
  public void removesThePermissionsOfOtherUsers() throws Exception {
    Files.createFile(path);
    Files.setAttribute(path, "unix:mode", 0666);
    take().close();
    assertEquals(0600, FileStatus.of(path).permissions());
  }

  @Test
  public void refusesALink() throws Exception {
    Files.createSymbolicLink(path, data);
    assertRefused("not a regular file");
  }

  @Test
  public void refusesAFileWithASecondName() throws Exception {
    Files.createLink(path, data);
    assertRefused("not a regular file");
  }

  @Test
  public void refusesAFifoWithoutBlocking() throws Exception {
    assertEquals(0, new ProcessBuilder("mkfifo", path.toString()).start().waitFor());
    assertRefused("not a regular file");
  }

  private SocketLock take() throws SamehostException {
    SocketPath socket = new SocketPath(path.resolveSibling("a.sock"));
    return SocketLock.take(folder, socket, "test");
  }

  private void assertRefused(String reason) throws Exception {
    SamehostException error = assertThrows(LockFileException.class, this::take);
    assertTrue(error.getMessage(), error.getMessage().contains(reason));
    assertTrue(error.getMessage(), error.getMessage().contains(path.toString()));
    assertEquals(0640, FileStatus.of(data).permissions());
    assertEquals(0, Files.size(data));
  }
}
