use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{AddressError, probe::describe_permissions};

/// Why a server can't listen. Each message names the path, the cause and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("no folder {folder} for the socket {path}; create it or mount it")]
    NoFolder { path: PathBuf, folder: PathBuf },
    /// [`Options::trust_folder`](crate::Options::trust_folder) allows such a folder.
    #[error("every user can replace the socket {path}: {folder} has mode {mode:04o}; run chmod o-w {folder}")]
    UnsafeFolder { path: PathBuf, folder: PathBuf, mode: u32 },
    #[error("{path} has a server already: {holder}; stop that server or choose another path")]
    InUse { path: PathBuf, holder: String },
    /// `<path>.lock` holds something else, is no regular file, or another user may lock it.
    #[error("the lock file {lock} {fault}")]
    LockFile { lock: PathBuf, fault: String },
    #[error("{path} exists and is not a socket; move it away or choose another path")]
    NotASocket { path: PathBuf },
    #[error(
        "someone put another file at {path} while this server started; it is kept: move it away or choose another path"
    )]
    Changed { path: PathBuf },
    /// A server has the path, and does not hand it over.
    #[error("{path} can't be taken over: {fault}")]
    Takeover { path: PathBuf, fault: String },
    /// The system's error is a part of the message, and so no `source()`.
    #[error("cannot {action} {path}: {cause}; {remedy}")]
    Io { action: &'static str, path: PathBuf, cause: io::Error, remedy: String },
}

impl ListenError {
    /// What an error of the system means; where it is about permissions, it tells those of `place`.
    pub(crate) fn io(
        action: &'static str,
        path: &Path,
        place: &Path,
        remedy: &'static str,
    ) -> impl Fn(io::Error) -> Self + Copy {
        move |cause| {
            let remedy = match cause.kind() {
                io::ErrorKind::PermissionDenied => format!("{}; {remedy}", describe_permissions(place)),
                _ => remedy.into(),
            };
            Self::Io { action, path: path.to_owned(), cause, remedy }
        }
    }
}
