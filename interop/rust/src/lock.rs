//! The exclusive lock on a sidecar file that keeps two servers off one path.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
    unistd::gethostname,
};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::probe::describe_permissions;

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

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("no folder {folder} for the socket {socket}; create it or mount it")]
    NoFolder { folder: String, socket: String },
    #[error("cannot open the lock file {lock}: {source}; {permissions}; let this process write there")]
    Open { lock: String, permissions: String, source: io::Error },
    #[error("{socket} has a server already: {owner} holds {lock}; stop that server or choose another path")]
    Held { socket: String, owner: String, lock: String },
    #[error("cannot lock {lock}: {source}; choose a folder on a file system that has locks")]
    Lock { lock: String, source: io::Error },
    #[error(
        "{lock} is needed as a lock file and holds something else; choose another name for the socket, \
         or move that file away"
    )]
    Foreign { lock: String },
    #[error("cannot write to the lock file {lock}: {source}; check the space on its file system")]
    Write { lock: String, source: io::Error },
}

impl Lock {
    /// Takes the lock of a socket without waiting, and writes down who holds it.
    pub fn take(socket: &Path, implementation: &str) -> Result<Self, LockError> {
        let path = lock_path(socket);
        let lock = path.display().to_string();
        let file = open(socket, &path)?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied) => {
                let owner = read_owner(&file).map_or_else(
                    || "someone".into(),
                    |owner| format!("{}, process {} on host {},", owner.implementation, owner.pid, owner.host),
                );
                return Err(LockError::Held { socket: socket.display().to_string(), owner, lock });
            }
            Err(source) => return Err(LockError::Lock { lock, source }),
        }
        match write_owner(&file, implementation) {
            Ok(true) => Ok(Self { _file: file }),
            Ok(false) => Err(LockError::Foreign { lock }),
            Err(source) => Err(LockError::Write { lock, source }),
        }
    }

    /// Tries for so long while someone else holds the lock.
    pub async fn take_within(time: Duration, socket: &Path, implementation: &str) -> Result<Self, LockError> {
        let deadline = Instant::now() + time;
        loop {
            match Self::take(socket, implementation) {
                Err(LockError::Held { .. }) if Instant::now() < deadline => sleep(PACE).await,
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

fn open(socket: &Path, path: &Path) -> Result<File, LockError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600) // whoever may open the file may lock it, and clients must not be able to
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => LockError::NoFolder {
                folder: socket.parent().unwrap_or(socket).display().to_string(),
                socket: socket.display().to_string(),
            },
            _ => LockError::Open { lock: path.display().to_string(), permissions: describe_permissions(path), source },
        })
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
