use std::{future::pending, os::unix::fs::DirBuilderExt};

use tempfile::{TempDir, tempdir};
use tokio::{join, net::UnixStream, select, task::yield_now, time::timeout};
use tokio_stream::StreamExt;

use super::*;
use crate::address::MAX_PATH_BYTES;

const PATIENCE: Duration = Duration::from_secs(10);

fn folder_and_address() -> (TempDir, SocketAddress) {
    let folder = tempdir().unwrap();
    let address = SocketAddress::new(folder.path().join("server.sock")).unwrap();
    (folder, address)
}

fn options(takeover: Takeover) -> Options {
    Options { mode: 0o600, owner: "test".into(), takeover, ..Options::default() }
}

async fn serve(address: &SocketAddress) -> Result<Listener, ListenError> {
    listen(address, options(Takeover::Allow)).await
}

async fn take_over(address: &SocketAddress) -> Result<Listener, ListenError> {
    listen(address, options(Takeover::Replace)).await
}

/// Binds a server and does not publish it.
async fn bind(address: &SocketAddress, takeover: Takeover) -> Bound {
    Bound::new(Place::new(address, options(takeover)).unwrap()).await.unwrap()
}

async fn event(listener: &mut Listener) -> Event {
    timeout(PATIENCE, listener.next_event()).await.unwrap()
}

/// Waits until a server has its lock again.
async fn until_locked(address: &SocketAddress) {
    let place = Place::new(address, options(Takeover::Never)).unwrap();
    while place.take_lock().is_ok() {
        yield_now().await;
    }
}

/// Answers successors until `other` ends.
async fn answer_during(listener: &mut Listener, other: impl Future<Output = ()>) {
    timeout(PATIENCE, async {
        select! {
            event = listener.next_event() => panic!("{event:?}"),
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
async fn a_socket_is_public_from_publish_to_drop() {
    let (folder, address) = folder_and_address();
    let bound = bind(&address, Takeover::Allow).await;
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Absent);
    let listener = bound.publish().await.unwrap();
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
    assert_eq!(fs::metadata(address.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(&folder), ["server.sock", "server.sock.lock", "server.sock.takeover"]);
    drop(listener);
    assert_eq!(names(&folder), ["server.sock.lock"]);
}

#[tokio::test]
async fn the_default_mode_is_0660_and_allows_no_takeover() {
    let (folder, address) = folder_and_address();
    let mut listener = listen(&address, Options::default()).await.unwrap();
    assert_eq!(fs::metadata(address.path()).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(names(&folder), ["server.sock", "server.sock.lock"]);
    answer_during(&mut listener, async {
        let error = take_over(&address).await.unwrap_err();
        assert!(matches!(error, ListenError::Takeover { .. }), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_drain_ends_the_stream_of_connections_and_waits_at_most_the_grace() {
    let (folder, address) = folder_and_address();
    let listener = listen(&address, Options::default()).await.unwrap();
    let waiting = UnixStream::connect(address.path()).await.unwrap();
    let incoming = listener.incoming();
    let connections: Vec<_> = listener.drain(incoming.collect(), PATIENCE).await.unwrap();
    assert_eq!(connections.len(), 1);
    assert_eq!(names(&folder), ["server.sock.lock"]);
    drop(waiting);

    let listener = listen(&address, Options::default()).await.unwrap();
    listener.drain(pending::<()>(), Duration::ZERO).await.unwrap_err();
}

#[tokio::test]
async fn files_that_a_killed_server_left_are_replaced_or_removed() {
    let (_folder, address) = folder_and_address();
    drop(net::UnixListener::bind(address.path()).unwrap());
    let left = address.path().with_file_name(private_prefix("server.sock".as_ref()) + "01234567");
    fs::DirBuilder::new().mode(0o700).create(&left).unwrap();
    drop(net::UnixListener::bind(left.join("s")).unwrap());
    let _served = serve(&address).await.unwrap();
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
    assert!(!left.exists());
}

#[tokio::test]
async fn a_file_that_appears_at_the_path_during_the_start_is_kept() {
    let (folder, address) = folder_and_address();
    let bound = bind(&address, Takeover::Allow).await;
    fs::write(address.path(), "dear diary").unwrap();
    let error = bound.publish().await.unwrap_err();
    assert!(matches!(error, ListenError::Changed { .. }), "{error}");
    assert_eq!(fs::read_to_string(address.path()).unwrap(), "dear diary");
    assert_eq!(names(&folder), ["server.sock", "server.sock.lock"]);
}

#[tokio::test]
async fn a_path_that_a_server_uses_is_refused() {
    let (_folder, address) = folder_and_address();
    let _served = serve(&address).await.unwrap();
    let error = serve(&address).await.unwrap_err();
    assert!(matches!(error, ListenError::InUse { .. }), "{error}");
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
}

#[tokio::test]
async fn a_path_that_a_server_without_a_lock_uses_is_refused() {
    let (_folder, address) = folder_and_address();
    let _stranger = net::UnixListener::bind(address.path()).unwrap();
    let error = serve(&address).await.unwrap_err();
    assert!(matches!(error, ListenError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_a_socket_or_a_lock_file_is_kept() {
    let (folder, address) = folder_and_address();
    fs::write(address.path(), "dear diary").unwrap();
    let error = serve(&address).await.unwrap_err();
    assert!(matches!(error, ListenError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(address.path()).unwrap(), "dear diary");

    let lock = folder.path().join("server.sock.lock");
    fs::write(&lock, "versions = 1\n").unwrap();
    let error = serve(&address).await.unwrap_err();
    assert!(matches!(error, ListenError::LockFile { .. }), "{error}");
    assert_eq!(fs::read_to_string(lock).unwrap(), "versions = 1\n");

    let (folder, address) = folder_and_address();
    let control = folder.path().join("server.sock.takeover");
    fs::write(&control, "dear diary").unwrap();
    let error = serve(&address).await.unwrap_err();
    assert!(matches!(error, ListenError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(control).unwrap(), "dear diary");
}

#[tokio::test]
async fn a_server_removes_only_its_own_socket() {
    let (_folder, address) = folder_and_address();
    let listener = serve(&address).await.unwrap();
    fs::remove_file(address.path()).unwrap();
    let _successor = net::UnixListener::bind(address.path()).unwrap();
    drop(listener);
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
}

#[tokio::test]
async fn a_server_that_was_taken_over_does_not_remove_the_path() {
    let (folder, address) = folder_and_address();
    let mut first = serve(&address).await.unwrap();
    let (event, second) = join!(event(&mut first), take_over(&address));
    assert_eq!(event, Event::TakenOver);
    drop(first);
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
    assert_eq!(names(&folder), ["server.sock", "server.sock.lock", "server.sock.takeover"]);
    drop(second.unwrap());
    assert_eq!(names(&folder), ["server.sock.lock"]);
}

#[tokio::test]
async fn a_server_whose_path_is_removed_reports_it_and_can_be_taken_over() {
    let (_folder, address) = folder_and_address();
    let mut first = serve(&address).await.unwrap();
    fs::remove_file(address.path()).unwrap();
    assert_eq!(event(&mut first).await, Event::Removed);
    let (event, _second) = join!(event(&mut first), take_over(&address));
    assert_eq!(event, Event::TakenOver);
}

#[tokio::test]
async fn a_file_that_replaces_the_socket_is_kept() {
    let (folder, address) = folder_and_address();
    let mut listener = serve(&address).await.unwrap();
    fs::remove_file(address.path()).unwrap();
    fs::write(address.path(), "dear diary").unwrap();
    assert_eq!(event(&mut listener).await, Event::Removed);
    drop(listener);
    assert_eq!(names(&folder), ["server.sock", "server.sock.lock"]);
}

#[tokio::test]
async fn a_takeover_continues_after_next_event_is_cancelled() {
    let (_folder, address) = folder_and_address();
    let mut first = serve(&address).await.unwrap();
    let wait_in_pieces = async { while timeout(Duration::from_millis(1), first.next_event()).await.is_err() {} };
    let (ended, second) = join!(timeout(PATIENCE, wait_in_pieces), take_over(&address));
    ended.unwrap();
    second.unwrap();
}

#[tokio::test]
async fn a_server_takes_its_lock_again_when_the_successor_fails() {
    let (folder, address) = folder_and_address();
    let mut first = serve(&address).await.unwrap();
    answer_during(&mut first, async {
        drop(bind(&address, Takeover::Replace).await);
        until_locked(&address).await;
        drop(bind(&address, Takeover::Replace).await);
    })
    .await;
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
    drop(first);
    assert_eq!(names(&folder), ["server.sock.lock"]);
}

#[tokio::test]
async fn a_takeover_without_an_answer_fails() {
    let (_folder, address) = folder_and_address();
    let _starting = bind(&address, Takeover::Allow).await;
    let error = take_over(&address).await.unwrap_err();
    assert!(matches!(error, ListenError::Takeover { .. }), "{error}");
    assert!(error.to_string().contains("no server listens"), "{error}");

    let (folder, _) = folder_and_address();
    let length = MAX_PATH_BYTES - folder.path().as_os_str().len() - "/".len();
    let address = SocketAddress::new(folder.path().join("s".repeat(length))).unwrap();
    let _served = serve(&address).await.unwrap();
    let error = take_over(&address).await.unwrap_err();
    assert!(error.to_string().contains("no room"), "{error}");
}

#[tokio::test]
async fn a_server_restores_its_names_when_the_successor_dies_with_them() {
    let (folder, address) = folder_and_address();
    let mut first = serve(&address).await.unwrap();
    let own = look(address.path()).unwrap();
    answer_during(&mut first, async {
        let place = Place::new(&address, options(Takeover::Replace)).unwrap();
        let claim = place.claim().await.unwrap();
        let control = control_path(address.path()).unwrap();
        fs::remove_file(address.path()).unwrap();
        drop(net::UnixListener::bind(address.path()).unwrap());
        fs::remove_file(control).unwrap();
        drop(claim);
        until_locked(&address).await;
    })
    .await;
    assert_eq!(look(address.path()).unwrap(), own);
    assert_eq!(names(&folder), ["server.sock", "server.sock.lock", "server.sock.takeover"]);
}

#[tokio::test]
async fn a_server_whose_lock_file_was_removed_can_be_taken_over() {
    let (folder, address) = folder_and_address();
    let mut first = serve(&address).await.unwrap();
    fs::remove_file(folder.path().join("server.sock.lock")).unwrap();
    let (event, _second) = join!(event(&mut first), take_over(&address));
    assert_eq!(event, Event::TakenOver);
    drop(first);
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
}

#[tokio::test]
async fn a_path_of_107_bytes_works() {
    let (folder, _) = folder_and_address();
    let deep = folder.path().join("d".repeat(MAX_PATH_BYTES - folder.path().as_os_str().len() - "//s".len()));
    fs::create_dir(&deep).unwrap();
    let address = SocketAddress::new(deep.join("s")).unwrap();
    let _served = serve(&address).await.unwrap();
    assert_eq!(path_state(address.path()).await.unwrap(), PathState::Live);
}
