//! The hand-over of a path from the server that has it to its successor, as PROTOCOL.md has it under Takeover.
//!
//! Both talk over a socket beside the path. Lines of JSON say what has happened; a connection that ends says that the
//! other one is gone, so both sides give up by dropping what they have.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::{sleep, timeout},
};

use crate::address::MAX_PATH_BYTES;

/// How long a server may take to release its lock, which takes it less than a millisecond.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// For as long as a process has no file descriptor left, accept(2) fails at once, again and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const MAX_LINE_BYTES: u64 = 4096;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Message {
    Released,
    Published,
}

#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    #[error("{0} can't be taken over: its name leaves no room for .takeover; stop its server")]
    NoRoom(String),
    #[error("{path} can't be taken over: nobody answers at {control}: {source}; stop its server")]
    NoAnswer { path: String, control: String, source: io::Error },
    #[error("{0} can't be taken over: its server goes, or another takes over; try again")]
    Refused(String),
}

/// Where a server listens for its successor; none where the name would be too long for a socket.
pub fn control_path(path: &Path) -> Option<PathBuf> {
    let mut control = path.as_os_str().to_owned();
    control.push(".takeover");
    (control.len() <= MAX_PATH_BYTES).then(|| control.into())
}

/// Listens where only this server's own user may dial: whoever dials can make the server go. The path must be private,
/// as bind(2) gives a socket the mode 0777 less the umask.
pub fn listen(private: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(private)?;
    fs::set_permissions(private, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The server that has the path and has released its lock. Dropped, it takes the lock again and serves on.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

impl Predecessor {
    pub async fn ask_to_release(path: &Path) -> Result<Self, TakeoverError> {
        let name = path.display().to_string();
        let Some(control) = control_path(path) else { return Err(TakeoverError::NoRoom(name)) };
        let no_answer = |source| TakeoverError::NoAnswer {
            path: path.display().to_string(),
            control: control.display().to_string(),
            source,
        };
        let mut connection = UnixStream::connect(&control).await.map_err(no_answer)?;
        match timeout(ANSWER_TIME, receive(&mut connection)).await {
            Ok(Ok(Message::Released)) => Ok(Self(connection)),
            Ok(_) => Err(TakeoverError::Refused(name)), // a server that goes resets the connections that wait
            Err(_) => Err(no_answer(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Makes it drain and go.
    pub async fn tell_published(mut self) {
        let _ = send(&mut self.0, &Message::Published).await; // if it does not hear it, it has gone already
    }
}

/// A server that is to have the path. Dropped, it knows that this one goes, or lets nobody take over for now.
#[derive(Debug)]
pub struct Successor(UnixStream);

impl Successor {
    /// The next one that dials; cancel safe.
    pub async fn accept(listener: &UnixListener) -> Self {
        loop {
            match listener.accept().await {
                Ok((connection, _)) => return Self(connection),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    /// Tells it that the lock is released, and whether it has published since; if not, it has given up or died.
    ///
    /// There is no deadline, as a server may take its time to start; the system ends the connection of one that dies.
    pub async fn publishes(&mut self) -> bool {
        send(&mut self.0, &Message::Released).await.is_ok()
            && receive(&mut self.0).await.is_ok_and(|message| message == Message::Published)
    }
}

async fn send(connection: &mut UnixStream, message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    connection.write_all(&line).await
}

/// The next line; the end of the connection is an error, as it says nothing.
async fn receive(connection: &mut UnixStream) -> io::Result<Message> {
    let mut line = String::new();
    BufReader::new(connection.take(MAX_LINE_BYTES)).read_line(&mut line).await?;
    Ok(serde_json::from_str(&line)?)
}
