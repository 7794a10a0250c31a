//! The exclusive lock on a sidecar file that keeps two servers off one path.

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
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

use crate::{ListenError, folder::Folder};

/// Whoever may open the file may lock it, and nobody else must be able to.
const MODE: u32 = 0o600;

/// How often to try: the system tells no one when a lock is released but whoever waits without a deadline.
const PACE: Duration = Duration::from_millis(5);

/// A lock that is held until it is dropped; the system releases it when the process dies.
///
/// Two locks are taken, because neither kind stops the other: flock(2), which most languages use, and a record lock,
/// which Java's `FileChannel.tryLock` uses. The record lock is Linux's open file description lock: a POSIX one would be
/// lost as soon as this process closed any other descriptor of the file (fcntl(2)).
///
/// The file stays when the lock is released: if it were removed, one server could lock the removed file while the next
/// locks a new one.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What the file says of the server that holds it, for error messages alone.
#[derive(Serialize, Deserialize)]
struct Owner {
    pid: u32,
    host: String,
    implementation: String,
}

impl Lock {
    /// Takes the lock of a socket in a folder without waiting, and writes down who holds it.
    pub fn take(folder: &Folder, socket: &Path, implementation: &str) -> Result<Self, ListenError> {
        let lock = lock_path(socket);
        let file = open(folder, &lock)?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied) => {
                let owner = read_owner(&file).map_or_else(
                    || "someone".into(),
                    |owner| format!("{}, process {} on host {},", owner.implementation, owner.pid, owner.host),
                );
                let holder = format!("{owner} holds {}", lock.display());
                return Err(ListenError::InUse { path: socket.to_owned(), holder });
            }
            Err(cause) => {
                let remedy = "choose a folder on a file system that has locks";
                return Err(ListenError::io("lock", &lock, &lock, remedy)(cause));
            }
        }
        match write_owner(&file, implementation) {
            Ok(true) => Ok(Self { _file: file }),
            Ok(false) => {
                let fault = "holds something else; choose another name for the socket, or move that file away";
                Err(unusable(&lock, fault.into()))
            }
            Err(cause) => Err(ListenError::io("write to", &lock, &lock, "check the space on its file system")(cause)),
        }
    }

    /// Tries for so long while someone else holds the lock.
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

/// `<path>.lock`, beside the socket.
fn lock_path(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// Opens a lock file that nobody else can lock, and makes one where there is none.
fn open(folder: &Folder, lock: &Path) -> Result<File, ListenError> {
    let open_error = ListenError::io("open the lock file", lock, lock, "let this process write there");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK) // someone may have put a FIFO there
        .open(folder.join(lock.file_name().unwrap_or_default()))
        .map_err(open_error)?;
    let found = file.metadata().map_err(open_error)?;
    if !found.is_file() || found.nlink() != 1 {
        let fault = "is no regular file with one name; remove it, or choose another name for the socket";
        return Err(unusable(lock, fault.into()));
    }
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if ![geteuid().as_raw(), 0, folder.metadata().map_err(open_error)?.uid()].contains(&owner) {
        let fault = format!(
            "belongs to uid {owner}, who could keep this server from starting; remove it, or choose a folder that only \
             this user may write to"
        );
        return Err(unusable(lock, fault));
    }
    match file.set_permissions(Permissions::from_mode(MODE)) {
        Err(_) if mode != MODE => {
            let path = lock.display();
            Err(unusable(lock, format!("has mode {mode:04o}, and others could hold it; run chmod 600 {path}")))
        }
        _ => Ok(file),
    }
}

fn unusable(lock: &Path, fault: String) -> ListenError {
    ListenError::LockFile { lock: lock.to_owned(), fault }
}

/// Takes both kinds; POSIX lets a record lock say EAGAIN or EACCES where someone else has it.
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

/// Writes down who holds the lock, unless the file holds what no server wrote: then it is somebody's data.
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
    use std::{
        fs::{self, hard_link},
        os::unix::fs::symlink,
    };

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
    fn one_at_a_time_holds_the_lock() {
        let place = place();
        let held = place.take().unwrap();
        let error = place.take().unwrap_err();
        assert!(matches!(error, ListenError::InUse { .. }), "{error}");
        assert!(error.to_string().contains("test, process"), "{error}");
        drop(held);
        place.take().unwrap();
    }

    #[test]
    fn nobody_else_can_hold_the_lock() {
        let place = place();
        fs::write(&place.lock, "").unwrap();
        fs::set_permissions(&place.lock, Permissions::from_mode(0o666)).unwrap();
        let _held = place.take().unwrap();
        assert_eq!(fs::metadata(&place.lock).unwrap().mode() & 0o7777, MODE);
    }

    #[test]
    fn what_is_no_file_with_one_name_is_refused() {
        let place = place();
        let secret = place.folder.join("secret");
        fs::write(&secret, "").unwrap();
        symlink(&secret, &place.lock).unwrap();
        assert!(matches!(place.take(), Err(ListenError::Io { .. })));
        fs::remove_file(&place.lock).unwrap();
        hard_link(&secret, &place.lock).unwrap();
        assert!(matches!(place.take(), Err(ListenError::LockFile { .. })));
        fs::remove_file(&place.lock).unwrap();
        mkfifo(&place.lock, Mode::S_IRWXU).unwrap();
        assert!(matches!(place.take(), Err(ListenError::LockFile { .. })));
        assert_eq!(fs::read(secret).unwrap(), b"");
    }
}
