//! Why a server can't be reached, or a call failed, told apart and said in one line with the remedy.

use std::{error::Error, io, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{sleep, timeout},
};
use tonic::{Code, Status};

use crate::{
    address::SocketAddress,
    dial::RECONNECT_PAUSE,
    probe::{PathState, describe_permissions, path_state},
};

/// How long a server may take to send its first frame; on one machine it takes less than a millisecond.
const HANDSHAKE: Duration = Duration::from_secs(1);

/// RFC 9113, 3.4 and 4.1: the client's preface and an empty SETTINGS frame; and where a frame's header has its type.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const FRAME_HEADER_BYTES: usize = 9;
const TYPE_OFFSET: usize = 3;
const SETTINGS: u8 = 4;

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no socket at {path}: there is no folder {folder}; create it or mount it here")]
    NoFolder { path: String, folder: String },
    #[error("no socket at {0}: start its server, or mount the folder that it serves in")]
    NoSocket(String),
    #[error("nobody listens on {0}: its server is gone; start it again and it replaces the file")]
    Stale(String),
    #[error(
        "no permission to connect to {path}: {permissions}; connecting takes write permission: run in that group, \
         or serve with another --group or --mode"
    )]
    Forbidden { path: String, permissions: String },
    #[error("{0} is not a socket; give the path that the server was started with")]
    NotASocket(String),
    #[error("cannot look at {path}: {cause}; check the folder it is in")]
    Look { path: String, cause: io::Error },
    #[error(
        "what listens on {0} did not speak within {HANDSHAKE:?}; see whether it is a gRPC server, and whether it hangs"
    )]
    Silent(String),
    #[error("what listens on {path} hung up: {cause}; see whether it is a gRPC server")]
    HungUp { path: String, cause: io::Error },
    #[error(
        "what listens on {path} does not speak HTTP/2: it began with \"{answer}\"; give the path of a gRPC server \
         without TLS"
    )]
    OtherProtocol { path: String, answer: String },
    #[error("no answer from {0} before the deadline; give it more time, or see what keeps it")]
    Deadline(SocketAddress),
    #[error("{address} answered {code}: {message}", code = code_name(*code))]
    Status { address: SocketAddress, code: Code, message: String },
}

impl CallError {
    /// Whether a server that starts later could help.
    fn may_pass(&self) -> bool {
        !matches!(self, Self::Forbidden { .. } | Self::NotASocket(_) | Self::Look { .. })
    }
}

/// Waits until a gRPC server answers at the address, or fails with the reason why none does: at once where waiting
/// can't cure it.
pub async fn wait_for_server(address: &SocketAddress, wait: Duration) -> Result<(), CallError> {
    let answered = timeout(wait, async {
        loop {
            match diagnose(address).await {
                Err(reason) if reason.may_pass() => sleep(RECONNECT_PAUSE).await,
                result => return result,
            }
        }
    });
    match answered.await {
        Ok(result) => result,
        Err(_) => diagnose(address).await,
    }
}

/// Says what a failed call means: why the server can't be reached, or else what it answered.
pub async fn explain(status: &Status, address: &SocketAddress) -> CallError {
    // A status that came over the wire has no source; one that tonic made of a broken connection has.
    let never_answered = status.code() == Code::DeadlineExceeded || status.source().is_some();
    if never_answered && let Err(reason) = diagnose(address).await {
        return reason;
    }
    match status.code() {
        Code::DeadlineExceeded => CallError::Deadline(address.clone()),
        code => CallError::Status { address: address.clone(), code, message: status.message().to_owned() },
    }
}

/// Finds out whether a server that speaks HTTP/2 answers, by looking and dialling; takes at most a second.
async fn diagnose(address: &SocketAddress) -> Result<(), CallError> {
    let path = address.path();
    let name = path.display().to_string();
    match path_state(path).await {
        Ok(PathState::Live) => shake_hands(path).await,
        Ok(PathState::Absent) => Err(match path.parent() {
            Some(folder) if !folder.is_dir() => {
                CallError::NoFolder { path: name, folder: folder.display().to_string() }
            }
            _ => CallError::NoSocket(name),
        }),
        Ok(PathState::Stale) => Err(CallError::Stale(name)),
        Ok(PathState::Forbidden) => Err(CallError::Forbidden { path: name, permissions: describe_permissions(path) }),
        Ok(PathState::NotASocket) => Err(CallError::NotASocket(name)),
        Err(cause) => Err(CallError::Look { path: name, cause }),
    }
}

/// Opens a connection of its own and reads the first frame: hyper takes a connection for good before it has seen one,
/// so a channel that is connected says nothing about who is on the other end.
async fn shake_hands(path: &Path) -> Result<(), CallError> {
    let name = path.display().to_string();
    let mut answer = Vec::new();
    let read = timeout(HANDSHAKE, async {
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(PREFACE).await?;
        stream.take(FRAME_HEADER_BYTES as u64).read_to_end(&mut answer).await
    });
    match read.await {
        Err(_) => Err(CallError::Silent(name)),
        Ok(Err(cause)) => Err(CallError::HungUp { path: name, cause }),
        Ok(Ok(FRAME_HEADER_BYTES)) if answer[TYPE_OFFSET] == SETTINGS => Ok(()),
        Ok(Ok(_)) => Err(CallError::OtherProtocol { path: name, answer: answer.escape_ascii().to_string() }),
    }
}

/// The code as gRPC's specification spells it, `INVALID_ARGUMENT`; tonic's own names are `InvalidArgument`.
pub fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}
