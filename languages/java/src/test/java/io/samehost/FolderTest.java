package io.samehost;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;

public class FolderTest {
  private static final String PREFIX = ".12345678";

  @Rule public final TemporaryFolder temporary = new TemporaryFolder(new File("/tmp"));

  private Path path;
  private Path foreign;

  @Before
  public void setUp() throws Exception {
    path = temporary.newFolder("own").toPath();
    foreign = temporary.newFolder("foreign").toPath();
    Files.setAttribute(foreign, "unix:mode", 0700);
    bind(foreign.resolve("b.sock"));
  }

  @Test
  public void staysTheSameFolderWhenItsNameIsReplaced() throws Exception {
    try (Folder folder = Folder.open(path);
        Folder twice = Folder.open(path)) {
      assertNotEquals(folder.resolve("a"), twice.resolve("a"));
      Files.move(path, temporary.getRoot().toPath().resolve("renamed"));
      Files.createSymbolicLink(path, foreign);
      Files.createFile(folder.resolve("a"));
      assertEquals(List.of("a"), twice.names());
    }
    assertForeignIsUnchanged();
  }

  @Test
  public void openRefusesAFile() throws Exception {
    Path file = Files.createFile(path.resolve("a"));
    IOException error = assertThrows(IOException.class, () -> Folder.open(file));
    assertEquals("not a directory", Reasons.of(error));
  }

  @Test
  public void refusesAWorldWritableFolderUnlessTrusted() throws Exception {
    SocketPath socket = new SocketPath(path.resolve("a.sock"));
    Files.setAttribute(path, "unix:mode", 0777);
    SamehostException error =
        assertThrows(UnsafeFolderException.class, () -> Folder.of(socket, /* trusted= */ false));
    assertTrue(error.getMessage(), error.getMessage().contains("has mode 0777"));
    Folder.of(socket, /* trusted= */ true).close();
    Files.setAttribute(path, "unix:mode", 01777);
    Folder.of(socket, /* trusted= */ false).close();
  }

  @Test
  public void closeRemovesAPrivateFolderAndItsSockets() throws Exception {
    try (Folder folder = Folder.open(path)) {
      PrivateFolder created = PrivateFolder.create(folder, PREFIX);
      bind(created.resolve("a"));
      Path name = path.resolve(folder.names().get(0));
      assertEquals(0700, FileStatus.of(name).permissions());
      created.close();
      assertEquals(List.of(), folder.names());
      created.close();
    }
  }

  @Test
  public void aPrivateFolderKeepsTheSetGidBit() throws Exception {
    Files.setAttribute(path, "unix:mode", 02700);
    try (Folder folder = Folder.open(path);
        PrivateFolder created = PrivateFolder.create(folder, PREFIX)) {
      assertEquals(02700, FileStatus.of(created.resolve(".")).permissions());
    }
  }

  @Test
  public void doesNotFollowALinkThatReplacesAPrivateFolder() throws Exception {
    try (Folder folder = Folder.open(path)) {
      PrivateFolder created = PrivateFolder.create(folder, PREFIX);
      Path name = path.resolve(folder.names().get(0));
      Files.move(name, path.resolve("renamed"));
      Files.createSymbolicLink(name, foreign);
      bind(created.resolve("a"));
      created.close();
      assertTrue(Files.isSymbolicLink(name));
      assertEquals(List.of(), names(path.resolve("renamed")));
    }
    assertForeignIsUnchanged();
  }

  @Test
  public void sweepRemovesOnlyOwnPrivateFolders() throws Exception {
    Files.createSymbolicLink(path.resolve(PREFIX + "0"), foreign);
    Files.createFile(path.resolve(PREFIX + "1"));
    Path open = Files.createDirectory(path.resolve(PREFIX + "2"));
    Files.setAttribute(open, "unix:mode", 0755);
    bind(open.resolve("a"));
    Path data = Files.createDirectory(path.resolve(PREFIX + "3"));
    Files.setAttribute(data, "unix:mode", 0700);
    Files.createFile(data.resolve("a"));
    try (Folder folder = Folder.open(path)) {
      PrivateFolder.sweep(folder, PREFIX);
      assertEquals(4, folder.names().size());
    }
    assertEquals(List.of("a"), names(open));
    assertEquals(List.of("a"), names(data));
    assertForeignIsUnchanged();
  }

  @Test
  public void restoreReplacesTheSocketOfADeadSuccessor() throws Exception {
    try (Folder folder = Folder.open(path)) {
      bind(path.resolve("bound"));
      Object identity = FileStatus.identityAt(path.resolve("bound"));
      PublicNames names = new PublicNames(folder, PREFIX);
      names.publish(path.resolve("bound"), "a.sock");
      names.backUp();
      Files.delete(path.resolve("a.sock"));
      bind(path.resolve("a.sock")); // a successor that died
      names.restore();
      assertEquals(identity, FileStatus.identityAt(path.resolve("a.sock")));
      assertEquals(List.of("a.sock"), folder.names());
    }
  }

  private void assertForeignIsUnchanged() throws IOException {
    assertEquals(List.of("b.sock"), names(foreign));
    assertEquals(0700, FileStatus.of(foreign).permissions());
  }

  private static List<String> names(Path path) throws IOException {
    try (Folder folder = Folder.open(path)) {
      return folder.names();
    }
  }

  /** Creates a socket on which no server listens. */
  private static void bind(Path path) throws IOException {
    ServerSocketChannel.open(StandardProtocolFamily.UNIX)
        .bind(UnixDomainSocketAddress.of(path))
        .close();
  }
}
