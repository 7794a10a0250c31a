//! The life of a socket's file, as PROTOCOL.md has it: private, public, removed. Copy this file to serve on a socket.
//!
//! The socket is bound in a private folder beside the path, which nobody else may enter, is given its mode and group
//! there, and is renamed onto the path when it serves. So whoever finds a file at the path finds one that serves, and
//! never one with a wider mode: a `chmod` after `bind` on the path itself leaves a window for both.

use std::{
    fs,
    future::pending,
    io::{self, Write},
    mem,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;
use nix::unistd::Gid;
use sha2::{Digest, Sha256};
use tokio::{net::UnixListener, select};

use crate::{
    address::{MAX_PATH_BYTES, SocketAddress},
    lock::{Lock, LockError},
    probe::{PathState, describe_permissions, path_state},
    takeover::{self, Predecessor, Successor, TakeoverError, control_path},
    watch,
};

/// How long to try for a lock that was just released: a third server may hold it while it finds the path live.
const RELEASED_LOCK_TIME: Duration = Duration::from_secs(2);

/// Hexadecimal digits, so that two paths of one folder share a private name once in 4 billion.
const PRIVATE_NAME_LENGTH: usize = 8;

/// What a server does when someone removes its path or puts something else there, so that no new client finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnRemoved {
    /// Says so, and serves on what it has.
    Serve,
    /// Drains, and fails.
    Stop,
}

/// One server's hold on a path: `claim`, `bind`, serve, `publish`, wait for a signal or `taken_over`, and `withdraw`,
/// which dropping it does too.
///
/// Nobody else removes the file: unix(7) leaves it to the caller, and neither tokio's listener nor tonic does it.
#[derive(Debug)]
pub struct SocketFile {
    public: OwnFile,
    private: PathBuf,
    implementation: String,
    hold: Hold,
    predecessor: Option<Predecessor>,
    /// Where successors dial; none where the path leaves no room for its name.
    control: Option<OwnFile>,
    successors: Option<UnixListener>,
}

/// The lock of the path: only who holds it may remove what is beside the path, which may be a successor's by then.
#[derive(Debug)]
enum Hold {
    Held(Lock),
    /// A successor may have it, or someone who kept it from being taken again.
    Released,
    Withdrawn,
}

/// A file that this process puts at a path.
#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    #[error("{0} exists and is not a socket; move it away or choose another path")]
    NotASocket(String),
    #[error(
        "{0} has a server already: someone answers there without holding {0}.lock; stop that server or choose \
         another path"
    )]
    Live(String),
    #[error(
        "{path} may have a server: this process is not allowed to ask; {permissions}; remove the file if nobody \
         serves there"
    )]
    Forbidden { path: String, permissions: String },
    #[error("cannot look at {path}: {source}; check the folder it is in")]
    Look { path: String, source: io::Error },
    #[error("{control} is needed to hand {path} over and is not a socket; move it away or choose another path")]
    ForeignControl { path: String, control: String },
    #[error("{0} leaves no room for a private name beside it; choose a folder with a shorter name")]
    NoRoom(String),
    #[error("cannot create {folder} for the socket {path}: {source}; {permissions}; let this process write there")]
    Folder { folder: String, path: String, permissions: String, source: io::Error },
    #[error(
        "the system refused a socket beside {path}: {source}; check that its folder is on a file system with sockets \
         and has space"
    )]
    Bind { path: String, source: io::Error },
    #[error(
        "cannot publish {path} with mode {mode:04o}: {source}; {permissions}; only a group that this process is in \
         can be given"
    )]
    Publish { path: String, mode: u32, permissions: String, source: io::Error },
    #[error(
        "someone has removed {0}, or put another in its place: no new client finds this server; start it again, and \
         leave the file alone"
    )]
    Removed(String),
}

impl SocketFile {
    /// Locks the path, and makes sure that nothing is there but, perhaps, a stale socket.
    ///
    /// The lock comes first: what the path looks like says nothing about a server that is just starting. With
    /// `takeover`, a server that holds it is asked to hand it over.
    pub async fn claim(address: &SocketAddress, implementation: String, takeover: bool) -> Result<Self, ListenError> {
        let path = address.path();
        let private = private_path(path)?;
        let (lock, predecessor) = match Lock::take(path, &implementation) {
            Err(LockError::Held { .. }) if takeover => {
                let predecessor = Predecessor::ask_to_release(path).await?;
                (Lock::take_within(RELEASED_LOCK_TIME, path, &implementation).await?, Some(predecessor))
            }
            taken => (taken?, None),
        };
        let file = Self {
            public: OwnFile::new(path.to_owned()),
            private,
            implementation,
            hold: Hold::Held(lock),
            predecessor,
            control: control_path(path).map(OwnFile::new),
            successors: None,
        };
        file.refuse_unless_free().await?;
        Ok(file)
    }

    async fn refuse_unless_free(&self) -> Result<(), ListenError> {
        let path = self.name();
        match path_state(&self.public.path).await {
            Ok(PathState::Live) if self.predecessor.is_some() => {}
            Ok(PathState::Absent | PathState::Stale) => {}
            Ok(PathState::NotASocket) => return Err(ListenError::NotASocket(path)),
            Ok(PathState::Live) => return Err(ListenError::Live(path)),
            Ok(PathState::Forbidden) => {
                return Err(ListenError::Forbidden { path, permissions: describe_permissions(&self.public.path) });
            }
            Err(source) => return Err(ListenError::Look { path, source }),
        }
        match self.control.as_ref().map(|control| (control, fs::symlink_metadata(&control.path))) {
            Some((control, Ok(found))) if !found.file_type().is_socket() => {
                Err(ListenError::ForeignControl { path, control: control.path.display().to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Binds the socket where nobody else can enter, and the one for successors.
    pub fn bind(&mut self) -> Result<UnixListener, ListenError> {
        let folder = self.private_folder();
        self.remove_private_folder().and_then(|()| fs::DirBuilder::new().mode(0o700).create(folder)).map_err(
            |source| ListenError::Folder {
                folder: folder.display().to_string(),
                path: self.name(),
                permissions: describe_permissions(folder),
                source,
            },
        )?;
        self.try_bind().map_err(|source| ListenError::Bind { path: self.name(), source })
    }

    fn try_bind(&mut self) -> io::Result<UnixListener> {
        if self.control.is_some() {
            self.successors = Some(takeover::listen(&self.private_control())?);
        }
        UnixListener::bind(&self.private)
    }

    /// Gives the socket its mode and group and renames it onto the path; from now on it is found.
    pub async fn publish(&mut self, mode: u32, group: Option<Gid>) -> Result<(), ListenError> {
        self.try_publish(mode, group).map_err(|source| ListenError::Publish {
            path: self.name(),
            mode,
            permissions: describe_permissions(&self.public.path),
            source,
        })?;
        if let Some(predecessor) = self.predecessor.take() {
            predecessor.tell_published().await;
        }
        Ok(())
    }

    fn try_publish(&mut self, mode: u32, group: Option<Gid>) -> io::Result<()> {
        if let Some(group) = group {
            chown(&self.private, None, Some(group.as_raw()))?;
        }
        fs::set_permissions(&self.private, fs::Permissions::from_mode(mode))?;
        // First the socket for successors: if this fails, or the process dies here, a predecessor still has its path.
        let private_control = self.private_control();
        if let Some(control) = &mut self.control {
            control.rename_from(&private_control)?;
        }
        self.public.rename_from(&self.private)?;
        // Before a successor can have the lock, as the folder is its own then.
        self.remove_private_folder()
    }

    /// Answers successors, one at a time, and ends when one serves at the path, or when someone has removed the path and
    /// the server is to stop then, which is an error.
    ///
    /// It may be dropped at any time: `withdraw` minds that a successor may have the lock.
    pub async fn taken_over(&mut self, on_removed: OnRemoved) -> Result<(), ListenError> {
        let mut is_watched = true;
        loop {
            // While a successor is answered nobody looks: what is at the path may be its own then, and that is no loss.
            let mut successor = select! {
                successor = self.next_successor() => successor,
                () = watch::until(|| !self.public.is_own()), if is_watched => {
                    let removed = ListenError::Removed(self.name());
                    if on_removed == OnRemoved::Stop {
                        return Err(removed);
                    }
                    let _ = writeln!(io::stderr(), "{removed}");
                    is_watched = false;
                    continue;
                }
            };
            self.hold = Hold::Released;
            if successor.publishes().await {
                return Ok(());
            }
            match Lock::take_within(RELEASED_LOCK_TIME, &self.public.path, &self.implementation).await {
                Ok(lock) => self.hold = Hold::Held(lock),
                // Even without it, others find the path live.
                Err(error) => {
                    let _ = writeln!(
                        io::stderr(),
                        "a takeover of {} was given up, and its lock can't be had again: {error}",
                        self.public.path.display()
                    );
                }
            }
        }
    }

    async fn next_successor(&self) -> Successor {
        match &self.successors {
            Some(listener) => Successor::accept(listener).await,
            None => pending().await,
        }
    }

    /// Removes the path if it is still this server's own, and releases the lock; doing it twice is harmless.
    pub fn withdraw(&mut self) {
        self.successors = None; // hangs up on those that wait
        let lock = match mem::replace(&mut self.hold, Hold::Withdrawn) {
            Hold::Held(lock) => Some(lock),
            // A successor has it, whose the files are then, or has given it up.
            Hold::Released => Lock::take(&self.public.path, &self.implementation).ok(),
            Hold::Withdrawn => None,
        };
        if lock.is_some() {
            self.public.remove_if_own();
            if let Some(control) = &self.control {
                control.remove_if_own();
            }
            let _ = self.remove_private_folder();
        }
        // Last, so that it finds the lock released.
        drop(lock);
        self.predecessor = None;
    }

    /// Removes what this server, or one that was killed while it started, left; safe, as it holds the lock.
    fn remove_private_folder(&self) -> io::Result<()> {
        let left = match fs::read_dir(self.private_folder()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            left => left?,
        };
        for entry in left {
            let entry = entry?;
            // Others give their sockets other names.
            if entry.file_type()?.is_socket() {
                fs::remove_file(entry.path())?;
            }
        }
        fs::remove_dir(self.private_folder())
    }

    fn private_folder(&self) -> &Path {
        self.private.parent().unwrap_or(&self.private)
    }

    /// Where the socket for successors is bound.
    fn private_control(&self) -> PathBuf {
        self.private.with_file_name("t")
    }

    fn name(&self) -> String {
        self.public.path.display().to_string()
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl OwnFile {
    fn new(path: PathBuf) -> Self {
        Self { path, identity: None }
    }

    fn rename_from(&mut self, private: &Path) -> io::Result<()> {
        let found = fs::symlink_metadata(private)?;
        self.identity = Some((found.dev(), found.ino()));
        fs::rename(private, &self.path)
    }

    /// Needs the lock: a successor could else put its own file there between the look and the removal.
    fn remove_if_own(&self) {
        if self.is_own() {
            let _ = fs::remove_file(&self.path);
        }
    }

    fn is_own(&self) -> bool {
        let found = fs::symlink_metadata(&self.path).ok().map(|found| (found.dev(), found.ino()));
        found.is_some() && found == self.identity
    }
}

/// Where the socket is bound: `s` in a folder beside the path, with a name of its own for each path.
///
/// It must fit into a socket's address too, so the folder's name gets shorter where the path is long.
fn private_path(path: &Path) -> Result<PathBuf, ListenError> {
    let folder = path.parent().unwrap_or(path);
    let name = path.file_name().unwrap_or_default();
    let taken = folder.as_os_str().len() + "/./s".len();
    let room = MAX_PATH_BYTES.saturating_sub(taken).min(PRIVATE_NAME_LENGTH);
    if room == 0 {
        return Err(ListenError::NoRoom(path.display().to_string()));
    }
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    let digits = format!("{:08x}", u32::from_be_bytes([a, b, c, d]));
    Ok(folder.join(format!(".{}", &digits[..room])).join("s"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net;

    use tempfile::{TempDir, tempdir};
    use tokio::{join, select, task::yield_now, time::timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn folder_and_address() -> (TempDir, SocketAddress) {
        let folder = tempdir().unwrap();
        let address = folder.path().join("server.sock").to_str().unwrap().parse().unwrap();
        (folder, address)
    }

    async fn claim(address: &SocketAddress) -> Result<SocketFile, ListenError> {
        SocketFile::claim(address, "test".into(), false).await
    }

    async fn take_over(address: &SocketAddress) -> Result<SocketFile, ListenError> {
        SocketFile::claim(address, "successor".into(), true).await
    }

    async fn publish(address: &SocketAddress) -> (SocketFile, UnixListener) {
        let mut file = claim(address).await.unwrap();
        let listener = file.bind().unwrap();
        file.publish(0o600, None).await.unwrap();
        (file, listener)
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_socket_is_public_from_publish_to_withdraw() {
        let (folder, address) = folder_and_address();
        let mut file = claim(&address).await.unwrap();
        let _listener = file.bind().unwrap();
        assert_eq!(path_state(address.path()).await.unwrap(), PathState::Absent);
        file.publish(0o600, None).await.unwrap();
        assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
        assert_eq!(fs::metadata(address.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(&folder), ["server.sock", "server.sock.lock", "server.sock.takeover"]);
        file.withdraw();
        assert_eq!(names(&folder), ["server.sock.lock"]);
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_so_is_what_a_killed_server_left() {
        let (_folder, address) = folder_and_address();
        drop(net::UnixListener::bind(address.path()).unwrap());
        let private = private_path(address.path()).unwrap();
        fs::create_dir(private.parent().unwrap()).unwrap();
        drop(net::UnixListener::bind(private.with_file_name("a1b2")).unwrap());
        let _served = publish(&address).await;
        assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
    }

    #[tokio::test]
    async fn a_path_with_a_server_is_refused() {
        let (_folder, address) = folder_and_address();
        let _served = publish(&address).await;
        let error = claim(&address).await.unwrap_err();
        assert!(matches!(error, ListenError::Lock(LockError::Held { .. })), "{error}");
        assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
    }

    #[tokio::test]
    async fn a_path_with_a_server_that_knows_no_lock_is_refused() {
        let (_folder, address) = folder_and_address();
        let _stranger = net::UnixListener::bind(address.path()).unwrap();
        let error = claim(&address).await.unwrap_err();
        assert!(matches!(error, ListenError::Live(_)), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_socket_or_no_lock_file_is_kept() {
        let (folder, address) = folder_and_address();
        fs::write(address.path(), "dear diary").unwrap();
        let error = claim(&address).await.unwrap_err();
        assert!(matches!(error, ListenError::NotASocket(_)), "{error}");
        assert_eq!(fs::read_to_string(address.path()).unwrap(), "dear diary");

        let lock = folder.path().join("server.sock.lock");
        fs::write(&lock, "versions = 1\n").unwrap();
        let error = claim(&address).await.unwrap_err();
        assert!(matches!(error, ListenError::Lock(LockError::Foreign { .. })), "{error}");
        assert_eq!(fs::read_to_string(lock).unwrap(), "versions = 1\n");

        let (folder, address) = folder_and_address();
        let control = folder.path().join("server.sock.takeover");
        fs::write(&control, "dear diary").unwrap();
        let error = claim(&address).await.unwrap_err();
        assert!(matches!(error, ListenError::ForeignControl { .. }), "{error}");
        assert_eq!(fs::read_to_string(control).unwrap(), "dear diary");
    }

    #[tokio::test]
    async fn only_its_own_socket_is_removed() {
        let (_folder, address) = folder_and_address();
        let (file, _listener) = publish(&address).await;
        fs::remove_file(address.path()).unwrap();
        let _successor = net::UnixListener::bind(address.path()).unwrap();
        drop(file);
        assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
    }

    #[tokio::test]
    async fn a_successor_has_the_path_and_its_predecessor_leaves_it_alone() {
        let (folder, address) = folder_and_address();
        let (mut first, _listener) = publish(&address).await;
        let successor = async {
            let mut second = take_over(&address).await.unwrap();
            let listener = second.bind().unwrap();
            second.publish(0o600, None).await.unwrap();
            (second, listener)
        };
        let (taken_over, (mut second, _listener)) =
            timeout(PATIENCE, async { join!(first.taken_over(OnRemoved::Stop), successor) }).await.unwrap();
        taken_over.unwrap();
        drop(first);
        assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
        assert_eq!(names(&folder), ["server.sock", "server.sock.lock", "server.sock.takeover"]);
        second.withdraw();
        assert_eq!(names(&folder), ["server.sock.lock"]);
    }

    #[tokio::test]
    async fn a_server_that_is_to_stop_when_its_path_is_removed_fails() {
        let (folder, address) = folder_and_address();
        let (mut file, _listener) = publish(&address).await;
        fs::remove_file(address.path()).unwrap();
        fs::write(address.path(), "dear diary").unwrap();
        let error = timeout(PATIENCE, file.taken_over(OnRemoved::Stop)).await.unwrap().unwrap_err();
        assert!(matches!(error, ListenError::Removed(_)), "{error}");
        file.withdraw();
        assert_eq!(names(&folder), ["server.sock", "server.sock.lock"]);
    }

    #[tokio::test]
    async fn a_server_that_serves_on_when_its_path_is_removed_can_be_taken_over() {
        let (_folder, address) = folder_and_address();
        let (mut first, _listener) = publish(&address).await;
        fs::remove_file(address.path()).unwrap();
        let successor = async {
            let mut second = take_over(&address).await.unwrap();
            let listener = second.bind().unwrap();
            second.publish(0o600, None).await.unwrap();
            (second, listener)
        };
        let (taken_over, _second) =
            timeout(PATIENCE, async { join!(first.taken_over(OnRemoved::Serve), successor) }).await.unwrap();
        taken_over.unwrap();
    }

    #[tokio::test]
    async fn a_server_whose_successor_gives_up_has_its_lock_again() {
        let (folder, address) = folder_and_address();
        let (mut first, _listener) = publish(&address).await;
        let gives_up = async {
            drop(take_over(&address).await.unwrap());
            while !matches!(claim(&address).await, Err(ListenError::Lock(LockError::Held { .. }))) {
                yield_now().await; // nobody tells when the lock is taken again
            }
            drop(take_over(&address).await.unwrap());
        };
        timeout(PATIENCE, async {
            select! {
                _ = first.taken_over(OnRemoved::Stop) => panic!("nobody has published"),
                () = gives_up => {}
            }
        })
        .await
        .unwrap();
        assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
        first.withdraw();
        assert_eq!(names(&folder), ["server.sock.lock"]);
    }

    #[tokio::test]
    async fn a_takeover_without_an_answer_says_so() {
        let (_folder, address) = folder_and_address();
        let _starting = claim(&address).await.unwrap();
        let error = take_over(&address).await.unwrap_err();
        assert!(matches!(error, ListenError::Takeover(TakeoverError::NoAnswer { .. })), "{error}");

        let (folder, _) = folder_and_address();
        let length = MAX_PATH_BYTES - folder.path().as_os_str().len() - "/".len();
        let path = folder.path().join("s".repeat(length));
        let address = path.to_str().unwrap().parse().unwrap();
        let _served = publish(&address).await;
        let error = take_over(&address).await.unwrap_err();
        assert!(matches!(error, ListenError::Takeover(TakeoverError::NoRoom(_))), "{error}");
    }

    #[test]
    fn the_private_path_fits_into_an_address() {
        let longest = PathBuf::from(format!("/{}/server.sock", "d".repeat(MAX_PATH_BYTES - "//server.sock".len())));
        assert!(private_path(&longest).unwrap().as_os_str().len() <= MAX_PATH_BYTES);
        let no_room = PathBuf::from(format!("/{}/s", "d".repeat(MAX_PATH_BYTES - "//s".len())));
        assert!(matches!(private_path(&no_room), Err(ListenError::NoRoom(_))));
    }
}
