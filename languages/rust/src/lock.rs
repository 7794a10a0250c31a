//! An exclusive lock on `<path>.lock`, which keeps two servers from using one path.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
    unistd::{geteuid, gethostname},
};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::{ListenError, error::reason, folder::Folder};

/// Only the owner can open the file. A user who can open it can lock it.
const MODE: u32 = 0o600;

/// The pause between two attempts to lock. The system has no wait with a deadline for a lock.
const PACE: Duration = Duration::from_millis(5);

/// A lock that is held until it is dropped or the process dies.
///
/// It consists of two locks, because they do not exclude each other: flock(2), which most languages use, and a record
/// lock, which Java's `FileChannel.tryLock` uses. The record lock is an open file description lock of Linux. A POSIX
/// lock would be lost as soon as this process closed any other descriptor of the file (fcntl(2)).
///
/// The file is not removed when the lock is released. Otherwise one server could lock the removed file while another
/// server locks a new one.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The content of the file: the server that holds the lock. It is used only in error messages.
#[derive(Serialize, Deserialize)]
struct Owner {
    pid: u32,
    host: String,
    implementation: String,
}

impl Lock {
    /// Takes the lock of a socket in a folder without waiting, and writes this process into the file.
    pub fn take(folder: &Folder, socket: &Path, implementation: &str) -> Result<Self, ListenError> {
        let lock = lock_path(socket);
        let file = open(folder, socket, &lock)?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied) => {
                let owner = read_owner(&file).map_or_else(
                    || "another process".into(),
                    |owner| format!("{}, process {} on host {},", owner.implementation, owner.pid, owner.host),
                );
                let fault = format!(
                    "{owner} holds {}; stop that server, replace it with takeover, or use another path",
                    lock.display()
                );
                return Err(ListenError::InUse { path: socket.to_owned(), fault });
            }
            Err(cause) => {
                let step = format!("lock {}", lock.display());
                return Err(ListenError::io(socket, step, None, "use a file system that has locks")(cause));
            }
        }
        match write_owner(&file, implementation) {
            Ok(true) => Ok(Self { _file: file }),
            Ok(false) => {
                let fault = "holds the data of another program; move it or use another path".into();
                Err(ListenError::LockFile { path: socket.to_owned(), lock, fault })
            }
            Err(cause) => {
                let step = format!("write {}", lock.display());
                Err(ListenError::io(socket, step, None, "free space on its file system")(cause))
            }
        }
    }

    /// Takes the lock as `take` does, and retries for `time` while another process holds it.
    pub async fn take_within(
        time: Duration,
        folder: &Folder,
        socket: &Path,
        implementation: &str,
    ) -> Result<Self, ListenError> {
        let deadline = Instant::now() + time;
        loop {
            match Self::take(folder, socket, implementation) {
                Err(ListenError::InUse { .. }) if Instant::now() < deadline => sleep(PACE).await,
                ended => return ended,
            }
        }
    }
}

fn lock_path(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// Opens or creates a lock file, and checks that no other user can lock it.
fn open(folder: &Folder, socket: &Path, lock: &Path) -> Result<File, ListenError> {
    let unusable = |fault| ListenError::LockFile { path: socket.to_owned(), lock: lock.to_owned(), fault };
    let not_regular = || unusable("is not a regular file with one name; remove it or use another path".into());
    let open_error = ListenError::io(
        socket,
        format!("open {}", lock.display()),
        Some(lock),
        "start this server as that user, or use a folder with write permission and space",
    );
    let at = folder.join(lock.file_name().unwrap_or_default());
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK) // opening a FIFO would block
        .open(&at);
    let file = match opened {
        Ok(file) => file,
        Err(_) if fs::symlink_metadata(at).is_ok_and(|found| !found.is_file()) => return Err(not_regular()),
        Err(cause) => return Err(open_error(cause)),
    };
    let found = file.metadata().map_err(&open_error)?;
    if !found.is_file() || found.nlink() != 1 {
        return Err(not_regular());
    }
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if ![geteuid().as_raw(), 0, folder.metadata().map_err(&open_error)?.uid()].contains(&owner) {
        return Err(unusable(format!(
            "belongs to uid {owner}, who could block this server; remove it or use a folder that only this user can \
             write to"
        )));
    }
    match file.set_permissions(Permissions::from_mode(MODE)) {
        Err(cause) if mode != MODE => {
            let (reason, lock) = (reason(&cause), lock.display());
            Err(unusable(format!(
                "has mode {mode:04o}, so that other users could lock it: {reason}; run chmod 600 {lock}"
            )))
        }
        _ => Ok(file),
    }
}

/// Takes both locks. If another process has the record lock, POSIX allows the errors EAGAIN and EACCES.
fn try_lock(file: &File) -> io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
        TryLockError::Error(error) => error,
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "these constants are 1 and 0; libc has them as wider integers")]
    let whole_file = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0, // to the end
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file))?;
    Ok(())
}

fn read_owner(file: &File) -> Option<Owner> {
    let mut text = [0; 4096];
    let length = file.read_at(&mut text, 0).ok()?;
    serde_json::from_slice(&text[..length]).ok()
}

/// Writes this process into the file. Returns false if the file holds the data of another program.
fn write_owner(file: &File, implementation: &str) -> io::Result<bool> {
    if file.metadata()?.len() > 0 && read_owner(file).is_none() {
        return Ok(false);
    }
    let host = gethostname()?.to_string_lossy().into_owned();
    let owner = Owner { pid: process::id(), host, implementation: implementation.to_owned() };
    let mut line = serde_json::to_vec(&owner)?;
    line.push(b'\n');
    file.set_len(0)?;
    file.write_all_at(&line, 0)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::{fs::hard_link, os::unix::fs::symlink};

    use nix::{sys::stat::Mode, unistd::mkfifo};
    use tempfile::{TempDir, tempdir};

    use super::*;

    struct Place {
        _temporary: TempDir,
        folder: Folder,
        socket: PathBuf,
        lock: PathBuf,
    }

    fn place() -> Place {
        let temporary = tempdir().unwrap();
        let socket = temporary.path().join("server.sock");
        let folder = Folder::of_socket(&socket, false).unwrap();
        Place { folder, lock: lock_path(&socket), socket, _temporary: temporary }
    }

    impl Place {
        fn take(&self) -> Result<Lock, ListenError> {
            Lock::take(&self.folder, &self.socket, "test")
        }
    }

    #[test]
    fn only_one_holder_has_the_lock() {
        let place = place();
        let held = place.take().unwrap();
        let error = place.take().unwrap_err();
        assert!(matches!(error, ListenError::InUse { .. }), "{error}");
        assert!(error.to_string().contains("test, process"), "{error}");
        drop(held);
        place.take().unwrap();
    }

    #[test]
    fn other_users_cannot_open_the_lock_file() {
        let place = place();
        fs::write(&place.lock, "").unwrap();
        fs::set_permissions(&place.lock, Permissions::from_mode(0o666)).unwrap();
        let _held = place.take().unwrap();
        assert_eq!(fs::metadata(&place.lock).unwrap().mode() & 0o7777, MODE);
    }

    #[test]
    fn only_a_regular_file_with_one_name_is_locked() {
        let place = place();
        let secret = place.folder.join("secret");
        fs::write(&secret, "").unwrap();
        symlink(&secret, &place.lock).unwrap();
        assert!(matches!(place.take(), Err(ListenError::LockFile { .. })));
        fs::remove_file(&place.lock).unwrap();
        hard_link(&secret, &place.lock).unwrap();
        assert!(matches!(place.take(), Err(ListenError::LockFile { .. })));
        fs::remove_file(&place.lock).unwrap();
        mkfifo(&place.lock, Mode::S_IRWXU).unwrap();
        assert!(matches!(place.take(), Err(ListenError::LockFile { .. })));
        assert_eq!(fs::read(secret).unwrap(), b"");
    }
}
