use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
};

use nix::errno::Errno;

use crate::{AddressError, probe::describe_permissions};

/// The reason why a server cannot listen. Each message names the path, the cause and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("cannot listen on {path}: the folder {folder} does not exist; create it or mount it")]
    NoFolder { path: PathBuf, folder: PathBuf },
    /// [`Options::trust_folder`](crate::Options::trust_folder) allows such a folder.
    #[error(
        "cannot listen on {path}: every user can replace the socket, because {folder} has mode {mode:04o}; \
         run chmod o-w {folder}"
    )]
    UnsafeFolder { path: PathBuf, folder: PathBuf, mode: u32 },
    /// Another server uses the path.
    #[error("cannot listen on {path}: {fault}")]
    InUse { path: PathBuf, fault: String },
    /// `<path>.lock` is not a lock file, or another user can lock it.
    #[error("cannot listen on {path}: {lock} {fault}")]
    LockFile { path: PathBuf, lock: PathBuf, fault: String },
    /// `file` exists and is not a socket. It is at the path or at `<path>.takeover`.
    #[error(
        "cannot listen on {path}: {} exists and is not a socket; move it or use another path",
        if .file == .path { "it".into() } else { .file.to_string_lossy() }
    )]
    NotASocket { path: PathBuf, file: PathBuf },
    /// Another program created a file at the path while this server started.
    #[error("cannot listen on {path}: another file appeared there during the start; move it or use another path")]
    Changed { path: PathBuf },
    /// The server on the path does not hand it over.
    #[error("cannot take over {path}: {fault}")]
    Takeover { path: PathBuf, fault: String },
    /// The system refused a step. The message contains `cause`, so `source()` does not return it again.
    #[error("cannot listen on {path}: {fault}")]
    Io { path: PathBuf, fault: String, cause: io::Error },
}

impl ListenError {
    /// Returns a function that makes an error of the system into a [`ListenError::Io`] about a step, such as "bind a
    /// socket". If `place` is given, the message describes the permissions there.
    pub(crate) fn io<'a>(
        path: &'a Path,
        step: impl Display + 'a,
        place: Option<&'a Path>,
        remedy: &'a str,
    ) -> impl Fn(io::Error) -> Self + 'a {
        move |cause| {
            let permissions = place.map_or_else(String::new, |place| format!(": {}", describe_permissions(place)));
            let fault = format!("cannot {step}: {}{permissions}; {remedy}", reason(&cause));
            Self::Io { path: path.to_owned(), fault, cause }
        }
    }
}

/// Returns the system's text for an error without its number, as in "permission denied".
pub(crate) fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}
