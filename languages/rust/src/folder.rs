//! Folders that are held open, so that another user cannot replace a folder between two steps.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{libc, unistd::geteuid};
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::ListenError;

/// `O_PATH` opens a folder that this process may not read. Only Linux has it.
#[cfg(target_os = "linux")]
const OPEN_FLAGS: i32 = libc::O_DIRECTORY | libc::O_PATH;
#[cfg(not(target_os = "linux"))]
const OPEN_FLAGS: i32 = libc::O_DIRECTORY;

const PRIVATE_MODE: u32 = 0o700;
const GROUP_AND_OTHERS: u32 = 0o077;
const WRITABLE_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;
const SET_GID: u32 = 0o2000;

/// An open folder. It is closed when its last clone is dropped.
///
/// Linux resolves `/proc/self/fd/N/name` from the open descriptor, even after the folder was renamed or replaced. On
/// systems without `/proc`, such as macOS, paths are ordinary ones.
#[derive(Clone, Debug)]
pub struct Folder {
    file: Arc<File>,
    path: PathBuf,
    given: PathBuf,
}

impl Folder {
    /// Opens the folder of a socket. Unless `trusted`, refuses a folder that every user can write to and that has no
    /// sticky bit, because every user can replace the sockets in it (unlink(2)).
    pub fn of_socket(socket: &Path, trusted: bool) -> Result<Self, ListenError> {
        let path = socket.parent().unwrap_or(socket);
        let (this, found) = Self::open(path, 0).and_then(|this| this.metadata().map(|found| (this, found))).map_err(
            |cause| match cause.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    ListenError::NoFolder { path: socket.to_owned(), folder: path.to_owned() }
                }
                _ => {
                    let remedy = "give this process search permission";
                    ListenError::io(socket, "open its folder", Some(path), remedy)(cause)
                }
            },
        )?;
        let mode = found.mode() & 0o7777;
        if mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0 {
            if !trusted {
                return Err(ListenError::UnsafeFolder { path: socket.to_owned(), folder: path.to_owned(), mode });
            }
            warn!("every user can replace the socket {}: its folder has mode {mode:04o}", socket.display());
        }
        Ok(this)
    }

    fn open(path: &Path, flags: i32) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(OPEN_FLAGS | flags).open(path)?;
        let held = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let given = path.to_owned();
        let path = if held.exists() { held } else { given.clone() };
        Ok(Self { file: Arc::new(file), path, given })
    }

    /// Returns the path of a file in the folder. The path is valid while the folder is open.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the path of a file as the caller wrote it. Use it only to connect, because the path of `join` may be too
    /// long for that. Never change a file through it.
    pub fn join_given(&self, name: impl AsRef<Path>) -> PathBuf {
        self.given.join(name)
    }

    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    fn remove_sockets(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_socket() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// A new folder that only this user can open. Dropping it removes the folder and the sockets in it.
#[derive(Debug)]
pub struct PrivateFolder {
    folder: Folder,
    parent: Folder,
    name: String,
    token: String,
}

impl PrivateFolder {
    /// Creates a folder whose name starts with the prefix, so that `sweep` finds it after its server was killed.
    pub fn create(parent: &Folder, prefix: &str) -> io::Result<Self> {
        let token = format!("{:08x}", getrandom::u32()?);
        let name = format!("{prefix}{token}");
        let path = parent.join(&name);
        DirBuilder::new().mode(PRIVATE_MODE).create(&path)?;
        let folder = open_private(&path).inspect_err(|_| {
            let _ = fs::remove_dir(&path);
        })?;
        let this = Self { folder, parent: parent.clone(), name, token };
        let mode = this.folder.metadata()?.mode();
        if mode & PRIVATE_MODE != PRIVATE_MODE {
            // The umask removed some permissions. chmod(2) clears the set-gid bit, which passes on the folder's group,
            // unless it is in the new mode.
            fs::set_permissions(&this.folder.path, Permissions::from_mode(PRIVATE_MODE | mode & SET_GID))?;
        }
        Ok(this)
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the path at which to bind the socket before it moves to its public path.
    pub fn socket(&self) -> PathBuf {
        self.join(&self.token)
    }

    /// Returns the path at which to bind the socket for successors.
    pub fn control(&self) -> PathBuf {
        self.join(format!("{}t", self.token))
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _ = self.folder.remove_sockets();
        let _ = fs::remove_dir(self.parent.join(&self.name));
    }
}

/// Returns the prefix of the private folders of a socket. Two sockets of one folder have the same prefix once in
/// 4 billion.
pub fn private_prefix(socket: &OsStr) -> String {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(socket.as_bytes()).into();
    format!(".{:08x}", u32::from_be_bytes([a, b, c, d]))
}

/// Removes the private folders of servers that were killed. The caller must hold the lock. Folders that cannot be
/// removed do no harm and are skipped.
pub fn sweep(parent: &Folder, prefix: &str) {
    let Ok(entries) = fs::read_dir(&parent.path) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().as_bytes().starts_with(prefix.as_bytes())) {
        if let Ok(left) = open_private(&entry.path())
            && left.remove_sockets().is_ok()
        {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Opens a folder and checks that only this user can open it, so that no other user can have put files there.
fn open_private(path: &Path) -> io::Result<Folder> {
    let folder = Folder::open(path, libc::O_NOFOLLOW)?;
    let found = folder.metadata()?;
    if found.uid() != geteuid().as_raw() || found.mode() & GROUP_AND_OTHERS != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user can open it"));
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use tempfile::{TempDir, tempdir};

    use super::*;

    const PREFIX: &str = ".01234567";

    fn opened() -> (TempDir, Folder) {
        let folder = tempdir().unwrap();
        let opened = Folder::of_socket(&folder.path().join("server.sock"), false).unwrap();
        (folder, opened)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_where_every_user_can_replace_the_socket_is_refused() {
        let folder = tempdir().unwrap();
        let socket = folder.path().join("server.sock");
        for mode in [0o700, 0o775, 0o1777] {
            set_mode(folder.path(), mode);
            Folder::of_socket(&socket, false).unwrap();
        }
        set_mode(folder.path(), 0o777);
        let error = Folder::of_socket(&socket, false).unwrap_err();
        assert!(matches!(error, ListenError::UnsafeFolder { mode: 0o777, .. }), "{error}");
        Folder::of_socket(&socket, true).unwrap();
    }

    #[test]
    fn a_folder_stays_open_when_it_is_renamed() {
        let (temporary, folder) = opened();
        let renamed = temporary.path().with_extension("renamed");
        fs::rename(temporary.path(), &renamed).unwrap();
        fs::write(folder.join("name"), "").unwrap();
        assert!(renamed.join("name").exists());
        fs::rename(renamed, temporary.path()).unwrap();
    }

    #[test]
    fn a_private_folder_is_removed_with_its_sockets() {
        let (temporary, folder) = opened();
        let private = PrivateFolder::create(&folder, PREFIX).unwrap();
        assert_eq!(private.folder.metadata().unwrap().mode() & 0o7777, PRIVATE_MODE);
        drop(UnixListener::bind(private.socket()).unwrap());
        drop(private);
        assert_eq!(fs::read_dir(temporary).unwrap().count(), 0);
    }

    #[test]
    fn only_private_folders_of_killed_servers_are_removed() {
        let (temporary, folder) = opened();
        let at = |name: &str| temporary.path().join(format!("{PREFIX}{name}"));
        for (name, mode) in [("killed", 0o700), ("shared", 0o750), ("data", 0o700), ("victim", 0o700)] {
            fs::create_dir(at(name)).unwrap();
            set_mode(&at(name), mode);
            drop(UnixListener::bind(at(name).join("s")).unwrap());
        }
        fs::write(at("data").join("diary"), "").unwrap();
        let victim = temporary.path().join("victim");
        fs::rename(at("victim"), &victim).unwrap();
        symlink(&victim, at("link")).unwrap();
        sweep(&folder, PREFIX);
        assert!(!at("killed").exists());
        assert!(at("shared").join("s").exists());
        assert!(at("data").join("diary").exists());
        assert!(victim.join("s").exists());
        assert!(at("link").is_symlink());
    }

    #[test]
    fn the_prefix_is_the_same_in_every_language() {
        // printf server.sock | sha256sum
        assert_eq!(private_prefix(OsStr::new("server.sock")), ".7154b8f7");
    }
}
