//! Finds the reason why a client cannot connect, and reports it in one line with the remedy.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use crate::{
    AddressError, SocketAddress,
    error::reason,
    probe::{PathState, describe_permissions, path_state},
};

/// How long a server may take to send its first frame. On one machine it needs less than a millisecond.
const HANDSHAKE: Duration = Duration::from_secs(1);

/// The preface of a client and an empty SETTINGS frame (RFC 9113, sections 3.4 and 4.1).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const FRAME_HEADER_BYTES: usize = 9;
/// The position of the type in the header of a frame.
const TYPE_OFFSET: usize = 3;
const SETTINGS: u8 = 4;

/// The reason why no gRPC server answers at a path. Each message names the path, the cause and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("cannot connect to {path}: the folder {folder} does not exist; check the path or mount it")]
    NoFolder { path: PathBuf, folder: PathBuf },
    #[error("cannot connect to {path}: no socket exists there; start the server, or mount the folder that it uses")]
    NoSocket { path: PathBuf },
    /// A server was killed and left its file.
    #[error("cannot connect to {path}: no server listens on it; start the server again, which replaces the file")]
    Stale { path: PathBuf },
    #[error(
        "cannot connect to {path}: permission denied: {permissions}; join that group, or change the group or mode of \
         the socket"
    )]
    Forbidden { path: PathBuf, permissions: String },
    #[error("cannot connect to {path}: it is not a socket; use the path that the server was started with")]
    NotASocket { path: PathBuf },
    /// The program that listens does not speak HTTP/2, sends nothing, or closes the connection.
    #[error("cannot connect to {path}: {fault}")]
    NotGrpc { path: PathBuf, fault: String },
    /// The system refused to look at the path. The message contains `cause`, so `source()` does not return it again.
    #[error("cannot connect to {path}: {}; check the folder of the socket", reason(.cause))]
    Io { path: PathBuf, cause: io::Error },
}

impl ConnectError {
    /// Returns whether the error can go away when a server starts.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::NoFolder { .. } | Self::NoSocket { .. } | Self::Stale { .. } | Self::NotGrpc { .. })
    }
}

/// Returns an error with the reason why calls to a path fail, or `Ok` if a server that speaks HTTP/2 answers there. It
/// connects, and waits for the answer for up to 1 s.
///
/// # Errors
///
/// [`ConnectError`]: no gRPC server answers at the path.
pub async fn diagnose(path: impl AsRef<Path>) -> Result<(), ConnectError> {
    let address = SocketAddress::new(path)?;
    let path = address.path().to_owned();
    match path_state(&path).await {
        Ok(PathState::Live) => shake_hands(path).await,
        Ok(PathState::Absent) => Err(match path.parent() {
            Some(folder) if !folder.is_dir() => ConnectError::NoFolder { folder: folder.to_owned(), path },
            _ => ConnectError::NoSocket { path },
        }),
        Ok(PathState::Stale) => Err(ConnectError::Stale { path }),
        Ok(PathState::Forbidden) => Err(ConnectError::Forbidden { permissions: describe_permissions(&path), path }),
        Ok(PathState::NotASocket) => Err(ConnectError::NotASocket { path }),
        Err(cause) => Err(ConnectError::Io { path, cause }),
    }
}

/// Opens a new connection and reads the first frame. A connected channel is no proof of a gRPC server, because hyper
/// counts a connection as good before it has received a frame.
async fn shake_hands(path: PathBuf) -> Result<(), ConnectError> {
    let mut answer = Vec::new();
    let read = timeout(HANDSHAKE, async {
        let mut stream = UnixStream::connect(&path).await?;
        stream.write_all(PREFACE).await?;
        stream.take(FRAME_HEADER_BYTES as u64).read_to_end(&mut answer).await
    });
    let fault = match read.await {
        Ok(Ok(FRAME_HEADER_BYTES)) if answer[TYPE_OFFSET] == SETTINGS => return Ok(()),
        Ok(Ok(0)) => closed(""),
        Ok(Ok(_)) => format!(
            "the server does not speak HTTP/2, its answer starts with \"{}\"; use the path of a gRPC server",
            answer.escape_ascii()
        ),
        Ok(Err(cause)) => closed(&format!(": {}", reason(&cause))),
        Err(_) => format!(
            "the server sent nothing within {} s; check that it is a gRPC server and that it is not blocked",
            HANDSHAKE.as_secs()
        ),
    };
    Err(ConnectError::NotGrpc { path, fault })
}

fn closed(reason: &str) -> String {
    format!("the server closed the connection{reason}; check that it is a gRPC server")
}
