//! A listener that follows PROTOCOL.md: the file of its socket is private, then public, then removed.
//!
//! The server binds the socket in a private folder beside the path, sets its mode and group there, and renames it onto
//! the path when it accepts connections. So a socket at the path always accepts connections and never has a wider mode.
//! A `chmod` after a `bind` at the path itself would leave a moment in which neither is true.
//!
//! All names are relative to folders that are held open. Another user who may write to the folder can replace the files
//! in it, but cannot make the server change or remove a file of another user.

mod drain;
mod handover;
#[cfg(test)]
mod tests;

use std::{
    fs, io, mem,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, chown},
        net,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

pub use self::handover::Event;
use self::handover::Hold;
use crate::{
    ListenError, Options, SocketAddress, Takeover,
    folder::{Folder, PrivateFolder, private_prefix, sweep},
    lock::Lock,
    probe::{PathState, path_state},
    public_name::{Found, PublicName, look},
    takeover::{self, Predecessor, control_path},
};

/// How long to try for a lock that was just released. A third server may hold it for a moment, until it finds that a
/// server uses the path.
const RELEASED_LOCK_TIME: Duration = Duration::from_secs(2);

/// A socket that listens on a path. It starts no task: it answers successors while [`next_event`](Self::next_event) is
/// awaited.
///
/// Dropping it removes its socket from the path and ends [`incoming`](Self::incoming). It keeps another file that was
/// put there. Neither the system (unix(7)) nor tokio nor tonic removes a socket.
#[derive(Debug)]
pub struct Listener {
    place: Place,
    socket: Arc<UnixListener>,
    stopping: CancellationToken,
    hold: Hold,
    /// The listener on `<path>.takeover`.
    successors: Option<UnixListener>,
    is_watched: bool,
}

/// Listens on a path or an address `unix:/absolute/path`, and returns when clients can connect. Replaces the file that
/// a killed server left. With [`Takeover::Replace`] it can take some seconds.
///
/// Calls wait until [`Listener::incoming`] is served, so finish slow work before you listen.
///
/// # Errors
///
/// [`ListenError`]: the server cannot listen. The path is unchanged.
pub async fn listen(path: impl AsRef<Path>, options: Options) -> Result<Listener, ListenError> {
    let place = Place::new(&SocketAddress::new(path)?, options)?;
    Bound::new(place).await?.publish().await
}

/// A listener at a private path. The order of the fields is the order in which they are dropped: the folder while the
/// path is locked, and the predecessor last, when the lock is free.
struct Bound {
    private: PrivateFolder,
    listener: Listener,
    found: Option<Found>,
    predecessor: Option<Predecessor>,
}

impl Bound {
    async fn new(place: Place) -> Result<Self, ListenError> {
        let (predecessor, found, lock) = place.claim().await?;
        // A predecessor keeps hard links to its sockets in such a folder.
        if predecessor.is_none() {
            sweep(&place.folder, &place.private_prefix());
        }
        let private = place.create_private_folder().map_err(ListenError::io(
            &place.path,
            "create a private folder beside it",
            place.path.parent(),
            "give this process write permission, and the file system space",
        ))?;
        let remedy = "use a file system that has sockets and space";
        let (socket, successors) =
            place.bind(&private).map_err(ListenError::io(&place.path, "bind a socket", None, remedy))?;
        let (socket, stopping) = (Arc::new(socket), CancellationToken::new());
        let listener = Listener { place, socket, stopping, hold: Hold::Held(lock), successors, is_watched: true };
        Ok(Self { private, listener, found, predecessor })
    }

    /// Gives the socket its mode and group and renames it onto the path.
    async fn publish(mut self) -> Result<Listener, ListenError> {
        self.listener.place.publish(&self.private, self.found)?;
        drop(self.private); // while this server has the lock: a successor may remove the folder
        if let Some(predecessor) = self.predecessor {
            predecessor.tell_published().await;
        }
        Ok(self.listener)
    }
}

/// A path, its open folder and the options.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    options: Options,
    folder: Folder,
    public: PublicName,
    /// The name `<path>.takeover`. None if takeovers are off or the name is too long.
    control: Option<PublicName>,
}

impl Place {
    fn new(address: &SocketAddress, options: Options) -> Result<Self, ListenError> {
        let path = address.path();
        let folder = Folder::of_socket(path, options.trust_folder)?;
        let name = |path: &Path| PublicName::new(&folder, path.file_name().unwrap_or_default().to_owned());
        let control = control_path(path).filter(|_| options.takeover != Takeover::Never).as_deref().map(name);
        Ok(Self { path: path.to_owned(), public: name(path), control, options, folder })
    }

    /// Locks the path and checks that it is free, has a stale socket, or has a server that hands it over.
    ///
    /// The lock comes first, because a server that is starting has no socket at the path yet.
    async fn claim(&self) -> Result<(Option<Predecessor>, Option<Found>, Lock), ListenError> {
        let error = match self.take_lock() {
            Ok(lock) => match self.look(false).await {
                Ok(found) => return Ok((None, found, lock)),
                Err(error) => error, // and release the lock: a server whose lock file was removed must take it again
            },
            Err(error) => error,
        };
        if !matches!(error, ListenError::InUse { .. }) || self.options.takeover != Takeover::Replace {
            return Err(error);
        }
        let predecessor = Predecessor::ask_to_release(&self.path).await?;
        let lock = Lock::take_within(RELEASED_LOCK_TIME, &self.folder, &self.path, &self.options.owner).await?;
        let found = self.look(true).await?;
        Ok((Some(predecessor), found, lock))
    }

    /// Returns the file at the path, if any. Fails unless it is a stale socket or the socket of a server that hands the
    /// path over.
    async fn look(&self, is_handed_over: bool) -> Result<Option<Found>, ListenError> {
        let path = self.path.clone();
        let found = look(&self.public.path()).ok();
        let failed = |remedy| ListenError::io(&self.path, "check for a running server", Some(&self.path), remedy);
        match path_state(&path).await.map_err(failed("check the folder of the socket"))? {
            PathState::Absent | PathState::Stale => {}
            PathState::Live if is_handed_over => {}
            PathState::Live => {
                let fault = format!(
                    "a server that does not hold {}.lock answers there; stop that server or use another path",
                    path.display()
                );
                return Err(ListenError::InUse { path, fault });
            }
            PathState::NotASocket => return Err(ListenError::NotASocket { file: path.clone(), path }),
            PathState::Forbidden => {
                let failed = failed("remove the socket if no server uses it");
                return Err(failed(io::ErrorKind::PermissionDenied.into()));
            }
        }
        match self.control.as_ref().map(|control| fs::symlink_metadata(control.path())) {
            Some(Ok(found)) if !found.file_type().is_socket() => {
                Err(ListenError::NotASocket { file: control_path(&path).unwrap_or_else(|| path.clone()), path })
            }
            _ => Ok(found),
        }
    }

    /// Binds the sockets for clients and for successors.
    fn bind(&self, private: &PrivateFolder) -> io::Result<(UnixListener, Option<UnixListener>)> {
        let successors = self.control.as_ref().map(|_| takeover::listen(&private.control())).transpose()?;
        let socket = net::UnixListener::bind(private.socket())?;
        socket.set_nonblocking(true)?;
        Ok((UnixListener::from_std(socket)?, successors))
    }

    fn publish(&mut self, private: &PrivateFolder, before: Option<Found>) -> Result<(), ListenError> {
        if look(&self.public.path()).is_ok_and(|now| Some(now) != before) {
            return Err(ListenError::Changed { path: self.path.clone() });
        }
        if let Some(group) = self.options.group {
            let (step, remedy) = (format!("set the group {group}"), "use a group of this process");
            chown(private.socket(), None, Some(group)).map_err(ListenError::io(&self.path, step, None, remedy))?;
        }
        let mode = self.options.mode;
        let (step, remedy) = (format!("set the mode {mode:04o}"), "use a file system that has permissions");
        fs::set_permissions(private.socket(), fs::Permissions::from_mode(mode))
            .map_err(ListenError::io(&self.path, step, None, remedy))?;
        self.take_names(private).map_err(ListenError::io(
            &self.path,
            "move the socket there",
            self.path.parent(),
            "give this process write permission",
        ))
    }

    /// Gives both sockets their public names. The public path is last, so that a predecessor keeps it if this fails or
    /// the process dies.
    fn take_names(&mut self, private: &PrivateFolder) -> io::Result<()> {
        if let Some(control) = &mut self.control {
            control.take_from(&private.control())?;
        }
        self.public.take_from(&private.socket())
    }

    fn take_lock(&self) -> Result<Lock, ListenError> {
        Lock::take(&self.folder, &self.path, &self.options.owner)
    }

    fn create_private_folder(&self) -> io::Result<PrivateFolder> {
        PrivateFolder::create(&self.folder, &self.private_prefix())
    }

    fn private_prefix(&self) -> String {
        private_prefix(self.path.file_name().unwrap_or_default())
    }

    fn names(&self) -> impl Iterator<Item = &PublicName> {
        self.control.iter().chain([&self.public])
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.successors = None; // closes the connections of successors that wait
        let lock = match mem::replace(&mut self.hold, Hold::TakenOver) {
            Hold::Held(lock) => Some(lock),
            // If a successor has taken the lock, the names belong to it.
            Hold::Lent { .. } => self.place.take_lock().ok(),
            Hold::TakenOver => None,
        };
        if lock.is_some() {
            for name in self.place.names() {
                name.remove_if_own();
            }
        }
    }
}
