package io.samehost;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.After;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class SocketFileTest {
  @Rule public final TemporaryFolder folder = new TemporaryFolder(new File("/tmp"));

  private final List<SocketFile> files = new ArrayList<>();
  private Path path;
  private Path control;
  private SocketFile file;

  @Before
  public void setUp() {
    path = folder.getRoot().toPath().resolve("a.sock");
    control = Path.of(path + ".takeover");
    file = open(path);
  }

  /** Releases the locks: the system may give the folder of a later test the same inode. */
  @After
  public void tearDown() {
    files.forEach(SocketFile::withdraw);
  }

  @Test
  public void onlyTheLockIsPublicBeforePublish() throws Exception {
    listen(file.claim(false)).close();
    assertEquals(
        List.of("a.sock.lock"), names().stream().filter(each -> !isPrivate(each)).toList());
    assertEquals(2, names().size());

    file.publish(0600, null);
    assertEquals(0600, (Integer) Files.getAttribute(path, "unix:mode") & 0777);
    assertEquals(List.of("a.sock", "a.sock.lock", "a.sock.takeover"), names());
    assertEquals(0600, (Integer) Files.getAttribute(control, "unix:mode") & 0777);

    file.withdraw();
    assertEquals(List.of("a.sock.lock"), names());
  }

  @Test
  public void replacesAStaleSocket() throws Exception {
    listen(path).close();
    listen(file.claim(false)).close();
    file.publish(0660, null);
    file.withdraw();
    assertEquals(List.of("a.sock.lock"), names());
  }

  @Test
  public void refusesASocketInUse() throws Exception {
    try (ServerSocketChannel other = listen(path)) {
      assertRefused(SocketInUseException.class, "does not hold");
      assertTrue(other.isOpen() && Files.exists(path));
    }
  }

  @Test
  public void refusesARegularFile() throws Exception {
    Files.writeString(path, "dear diary");
    assertRefused(NotSocketException.class, "is not a socket");
    assertEquals("dear diary", Files.readString(path));
  }

  @Test
  public void refusesALockFileWithOtherData() throws Exception {
    Path lock = Path.of(path + ".lock");
    Files.writeString(lock, "versions = 1\n");
    assertRefused(LockFileException.class, "another program");
    assertEquals("versions = 1\n", Files.readString(lock));
  }

  @Test
  public void refusesASecondServerInThisProcessAndKeepsTheLock() throws Exception {
    file.claim(false);
    SocketFile second = open(path);
    assertThrows(SocketInUseException.class, () -> second.claim(false));
    second.withdraw();
    assertTrue("the file is locked for other processes", lockedForOthers(Path.of(path + ".lock")));
    file.withdraw();
  }

  @Test
  public void withdrawKeepsAFileThatReplacedTheSocket() throws Exception {
    try (ServerSocketChannel server = listen(file.claim(false))) {
      file.publish(0660, null);
      Files.delete(path);
      listen(path).close(); // the system cannot reuse the inode while the server is open
      file.withdraw();
      assertTrue(server.isOpen());
    }
    assertEquals(List.of("a.sock", "a.sock.lock"), names());
  }

  @Test
  public void noticesThatTheSocketWasRemoved() throws Exception {
    listen(file.claim(false)).close();
    file.publish(0660, null);
    assertFalse(file.isLost());
    Files.delete(path);
    file.removed().toCompletableFuture().get(10, TimeUnit.SECONDS);
    file.withdraw();
  }

  @Test
  public void noticesThatTheSocketWasReplaced() throws Exception {
    try (ServerSocketChannel server = listen(file.claim(false))) {
      file.publish(0660, null);
      Files.delete(path);
      listen(path).close(); // see above
      file.removed().toCompletableFuture().get(10, TimeUnit.SECONDS);
      assertTrue(server.isOpen());
    }
    file.withdraw();
  }

  @Test
  public void refusesARegularFileAtTheControlPath() throws Exception {
    Files.writeString(control, "dear diary");
    assertRefused(NotSocketException.class, "is not a socket");
    assertEquals("dear diary", Files.readString(control));
  }

  @Test
  public void refusesATakeoverIfTheNameIsTooLong() throws Exception {
    String name = "a".repeat(99 - folder.getRoot().toString().length() - "/".length());
    path = folder.getRoot().toPath().resolve(name);
    assertEquals(99, path.toString().length());
    file = open(path);
    try (ServerSocketChannel server = listen(file.claim(false))) {
      file.publish(0660, null);
      assertEquals(List.of(name, name + ".lock"), names());
      SocketFile successor = open(path);
      SamehostException error =
          assertThrows(SocketInUseException.class, () -> successor.claim(true));
      assertTrue(error.getMessage(), error.getMessage().contains("leaves no room"));
      assertTrue(server.isOpen());
    }
    file.withdraw();
  }

  @Test
  public void takesOverAPathThatIsTooLongThroughADescriptor() throws Exception {
    Path shortFolder = Files.createDirectory(Path.of("/tmp", PrivateFolder.randomName()));
    try {
      path = shortFolder.resolve("a".repeat(98 - shortFolder.toString().length() - "/".length()));
      listen(path).close(); // stale
      file = open(path);
      SocketFile second = open(path);
      SocketFile third = open(path);
      try (ServerSocketChannel server = listen(file.claim(false))) {
        file.publish(0660, null);
        Object own = FileStatus.identityAt(path);
        second.claim(true);
        Files.delete(path);
        listen(path).close(); // as a dead successor leaves it
        second.withdraw();
        for (int tries = 0; tries < 1000 && !own.equals(FileStatus.identityAt(path)); tries++) {
          Thread.sleep(10);
        }
        assertEquals("the socket has its public name again", own, FileStatus.identityAt(path));
        listen(third.claim(true)).close();
        third.publish(0660, null);
        file.takenOver().toCompletableFuture().get(10, TimeUnit.SECONDS);
        assertTrue(server.isOpen());
      }
      file.withdraw();
      third.withdraw();
    } finally {
      try (Stream<Path> left = Files.list(shortFolder)) {
        for (Path each : left.toList()) {
          Files.delete(each);
        }
      }
      Files.delete(shortFolder);
    }
  }

  @Test
  public void aSuccessorTakesOverAfterAnotherFailed() throws Exception {
    SocketFile second = open(path);
    SocketFile third = open(path);
    try (ServerSocketChannel server = listen(file.claim(false))) {
      file.publish(0660, null);
      second.claim(true);
      second.withdraw();
      try (ServerSocketChannel successor = listen(third.claim(true))) {
        third.publish(0660, null);
        file.takenOver().toCompletableFuture().get(10, TimeUnit.SECONDS);
        assertFalse(file.isLost());
        file.withdraw();
        assertEquals(List.of("a.sock", "a.sock.lock", "a.sock.takeover"), names());
        assertTrue(server.isOpen() && successor.isOpen());
      }
    }
    third.withdraw();
    assertEquals(List.of("a.sock.lock"), names());
  }

  @Test
  public void publishKeepsAFileThatAppearedAfterClaim() throws Exception {
    listen(file.claim(false)).close();
    listen(path).close();
    SamehostException error =
        assertThrows(SocketInUseException.class, () -> file.publish(0660, null));
    assertTrue(error.getMessage(), error.getMessage().contains("another file appeared"));
    file.withdraw();
    assertEquals(List.of("a.sock", "a.sock.lock"), names());
  }

  @Test
  public void publishKeepsASocketThatReplacedAStaleOne() throws Exception {
    listen(path).close();
    listen(file.claim(false)).close();
    Files.delete(path);
    listen(path).close(); // the system may reuse the inode
    assertThrows(SocketInUseException.class, () -> file.publish(0660, null));
    file.withdraw();
    assertEquals(List.of("a.sock", "a.sock.lock"), names());
  }

  @Test
  public void removesThePrivateFolderOfAKilledServer() throws Exception {
    listen(file.claim(false)).close();
    String left = names().stream().filter(each -> isPrivate(each)).findAny().orElseThrow();
    file.withdraw();
    Path again = folder.getRoot().toPath().resolve(left);
    Files.createDirectory(
        again, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    listen(again.resolve("b")).close();
    open(path).claim(false);
    assertFalse(Files.exists(again));
  }

  private static boolean isPrivate(String name) {
    return name.matches("\\.[0-9a-f]{16}");
  }

  private SocketFile open(Path path) {
    SocketFile opened =
        new SocketFile(
            new SocketPath(path), "test", /* trustFolder= */ false, /* allowTakeover= */ true);
    files.add(opened);
    return opened;
  }

  private void assertRefused(Class<? extends SamehostException> kind, String reason) {
    SamehostException error = assertThrows(kind, () -> file.claim(false));
    assertTrue(error.getMessage(), error.getMessage().contains(reason));
    assertTrue(error.getMessage(), error.getMessage().contains(path.toString()));
    file.withdraw();
  }

  private List<String> names() throws IOException {
    try (Stream<Path> found = Files.list(folder.getRoot().toPath())) {
      return found.map(each -> each.getFileName().toString()).sorted().toList();
    }
  }

  /** Uses a socket of the JDK, because its file stays when it is closed. */
  private static ServerSocketChannel listen(Path path) throws IOException {
    return ServerSocketChannel.open(StandardProtocolFamily.UNIX)
        .bind(UnixDomainSocketAddress.of(path));
  }

  /** Reads the kernel's list of locks, which has inodes such as {@code 00:1f:4711}. */
  private static boolean lockedForOthers(Path lock) throws IOException {
    Object inode = Files.getAttribute(lock, "unix:ino");
    return Files.readAllLines(Path.of("/proc/locks")).stream()
        .anyMatch(line -> line.contains("POSIX") && line.contains(":" + inode + " "));
  }
}
