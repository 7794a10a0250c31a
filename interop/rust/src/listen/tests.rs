use std::os::unix::fs::DirBuilderExt;

use tempfile::{TempDir, tempdir};
use tokio::{join, select, task::yield_now, time::timeout};

use super::*;
use crate::address::MAX_PATH_BYTES;

const PATIENCE: Duration = Duration::from_secs(10);

fn folder_and_address() -> (TempDir, SocketAddress) {
    let folder = tempdir().unwrap();
    let address = folder.path().join("server.sock").to_str().unwrap().parse().unwrap();
    (folder, address)
}

fn options(takeover: bool) -> Options {
    Options { implementation: "test".into(), mode: 0o600, group: None, trust_folder: false, takeover }
}

async fn bind(address: &SocketAddress) -> Result<(SocketFile, net::UnixListener), ListenError> {
    SocketFile::bind(address, options(false)).await
}

async fn take_over(address: &SocketAddress) -> Result<(SocketFile, net::UnixListener), ListenError> {
    SocketFile::bind(address, options(true)).await
}

async fn publish(address: &SocketAddress) -> (SocketFile, net::UnixListener) {
    let (mut file, listener) = bind(address).await.unwrap();
    file.publish().await.unwrap();
    (file, listener)
}

async fn succeed(address: &SocketAddress) -> (SocketFile, net::UnixListener) {
    let (mut file, listener) = take_over(address).await.unwrap();
    file.publish().await.unwrap();
    (file, listener)
}

/// Waits until a server has its lock again, of which nobody tells.
async fn until_locked(address: &SocketAddress) {
    let folder = Folder::of_socket(address.path(), false).unwrap();
    while Lock::take(&folder, address.path(), "test").is_ok() {
        yield_now().await;
    }
}

/// Answers successors until something else has happened.
async fn answer_during(file: &mut SocketFile, other: impl Future<Output = ()>) {
    timeout(PATIENCE, async {
        select! {
            _ = file.taken_over(OnRemoved::Serve) => panic!("nobody has published"),
            () = other => {}
        }
    })
    .await
    .unwrap();
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
    let (mut file, _listener) = bind(&address).await.unwrap();
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Absent);
    file.publish().await.unwrap();
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
    let left = address.path().with_file_name(private_prefix(OsStr::new("server.sock")) + "01234567");
    fs::DirBuilder::new().mode(0o700).create(&left).unwrap();
    drop(net::UnixListener::bind(left.join("s")).unwrap());
    let _served = publish(&address).await;
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
    assert!(!left.exists());
}

#[tokio::test]
async fn what_is_put_at_the_path_while_a_server_starts_is_kept() {
    let (folder, address) = folder_and_address();
    let (mut file, _listener) = bind(&address).await.unwrap();
    fs::write(address.path(), "dear diary").unwrap();
    let error = file.publish().await.unwrap_err();
    assert!(matches!(error, ListenError::Changed(_)), "{error}");
    drop(file);
    assert_eq!(fs::read_to_string(address.path()).unwrap(), "dear diary");
    assert_eq!(names(&folder), ["server.sock", "server.sock.lock"]);
}

#[tokio::test]
async fn a_path_with_a_server_is_refused() {
    let (_folder, address) = folder_and_address();
    let _served = publish(&address).await;
    let error = bind(&address).await.unwrap_err();
    assert!(matches!(error, ListenError::Lock(LockError::Held { .. })), "{error}");
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
}

#[tokio::test]
async fn a_path_with_a_server_that_knows_no_lock_is_refused() {
    let (_folder, address) = folder_and_address();
    let _stranger = net::UnixListener::bind(address.path()).unwrap();
    let error = bind(&address).await.unwrap_err();
    assert!(matches!(error, ListenError::Live(_)), "{error}");
}

#[tokio::test]
async fn what_is_no_socket_or_no_lock_file_is_kept() {
    let (folder, address) = folder_and_address();
    fs::write(address.path(), "dear diary").unwrap();
    let error = bind(&address).await.unwrap_err();
    assert!(matches!(error, ListenError::NotASocket(_)), "{error}");
    assert_eq!(fs::read_to_string(address.path()).unwrap(), "dear diary");

    let lock = folder.path().join("server.sock.lock");
    fs::write(&lock, "versions = 1\n").unwrap();
    let error = bind(&address).await.unwrap_err();
    assert!(matches!(error, ListenError::Lock(LockError::Foreign { .. })), "{error}");
    assert_eq!(fs::read_to_string(lock).unwrap(), "versions = 1\n");

    let (folder, address) = folder_and_address();
    let control = folder.path().join("server.sock.takeover");
    fs::write(&control, "dear diary").unwrap();
    let error = bind(&address).await.unwrap_err();
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
    let (taken_over, (mut second, _listener)) =
        timeout(PATIENCE, async { join!(first.taken_over(OnRemoved::Stop), succeed(&address)) }).await.unwrap();
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
    let (taken_over, _second) =
        timeout(PATIENCE, async { join!(first.taken_over(OnRemoved::Serve), succeed(&address)) }).await.unwrap();
    taken_over.unwrap();
}

#[tokio::test]
async fn a_server_whose_successor_gives_up_has_its_lock_again() {
    let (folder, address) = folder_and_address();
    let (mut first, _listener) = publish(&address).await;
    answer_during(&mut first, async {
        drop(take_over(&address).await.unwrap());
        until_locked(&address).await;
        drop(take_over(&address).await.unwrap());
    })
    .await;
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
    first.withdraw();
    assert_eq!(names(&folder), ["server.sock.lock"]);
}

#[tokio::test]
async fn a_takeover_without_an_answer_says_so() {
    let (_folder, address) = folder_and_address();
    let _starting = bind(&address).await.unwrap();
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

#[tokio::test]
async fn a_server_whose_successor_dies_with_its_names_has_them_again() {
    let (folder, address) = folder_and_address();
    let (mut first, _listener) = publish(&address).await;
    let own = look(address.path()).unwrap();
    answer_during(&mut first, async {
        let handle = Folder::of_socket(address.path(), false).unwrap();
        let predecessor = Predecessor::ask_to_release(address.path()).await.unwrap();
        let lock = Lock::take(&handle, address.path(), "successor").unwrap();
        let control = control_path(address.path()).unwrap();
        fs::remove_file(address.path()).unwrap();
        drop(net::UnixListener::bind(address.path()).unwrap());
        fs::remove_file(control).unwrap();
        drop((predecessor, lock));
        until_locked(&address).await;
    })
    .await;
    assert_eq!(look(address.path()).unwrap(), own);
    assert_eq!(names(&folder), ["server.sock", "server.sock.lock", "server.sock.takeover"]);
}

#[tokio::test]
async fn a_server_without_its_lock_file_is_taken_over() {
    let (folder, address) = folder_and_address();
    let (mut first, _listener) = publish(&address).await;
    fs::remove_file(folder.path().join("server.sock.lock")).unwrap();
    let (taken_over, _second) =
        timeout(PATIENCE, async { join!(first.taken_over(OnRemoved::Stop), succeed(&address)) }).await.unwrap();
    taken_over.unwrap();
    drop(first);
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
}

#[tokio::test]
async fn a_path_of_107_bytes_needs_no_room_for_a_private_name() {
    let (folder, _) = folder_and_address();
    let deep = folder.path().join("d".repeat(MAX_PATH_BYTES - folder.path().as_os_str().len() - "//s".len()));
    fs::create_dir(&deep).unwrap();
    let address = deep.join("s").to_str().unwrap().parse().unwrap();
    let _served = publish(&address).await;
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
}
