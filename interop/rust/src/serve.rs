//! The command `serve`: everything that this peer serves, from the ready line to the last call.

use std::{
    future::pending,
    io::{self, Write},
    os::unix::net,
    process,
    time::Duration,
};

use anyhow::{Context, bail};
use async_stream::stream;
use serde::Serialize;
use tokio::{
    net::{UnixListener, UnixStream},
    select,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Server, server::Router};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::layer::util::{Identity, Stack};

use crate::{
    address::SocketAddress,
    connection::Connection,
    deadline_layer::DeadlineLayer,
    greeter::Greeter,
    interop::{
        orca::{LoadReports, OpenRca},
        service::InteropService,
    },
    listen::{OnRemoved, Options, SocketFile},
    proto::{
        FILE_DESCRIPTOR_SET,
        grpc::testing::test_service_server,
        samehost::greeter::v1::greeter_service_server::{self, GreeterServiceServer},
        xds::service::orca::v3::open_rca_service_server::{self, OpenRcaServiceServer},
    },
    workers::Workers,
};

const TONIC_VERSION: &str = env!("TONIC_VERSION");

/// For as long as a process has no file descriptor left, accept(2) fails at once, again and again, and tonic retries.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients have to move elsewhere before hyper ends their connections. They need milliseconds.
const MOVE_TIME: Duration = Duration::from_millis(500);

/// What health and reflection say is served; the empty name is the server as a whole.
const SERVICES: [&str; 3] =
    [greeter_service_server::SERVICE_NAME, test_service_server::SERVICE_NAME, open_rca_service_server::SERVICE_NAME];

/// What the lock file says of this server.
pub fn implementation() -> String {
    format!("tonic {TONIC_VERSION}")
}

/// Serves until a signal, a takeover or the removal of its path, and stops as PROTOCOL.md has it.
///
/// It runs in another thread than the handlers: however long those block theirs, signals are heard and the stop ends.
pub async fn serve(
    address: &SocketAddress,
    options: Options,
    grace: Duration,
    on_removed: OnRemoved,
) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut health = HealthReporter::new();
    report(&health, ServingStatus::Serving).await;
    let router = router(&health)?;

    let (mut file, listener) = SocketFile::bind(address, options).await?;
    let stopping = CancellationToken::new();
    let workers =
        Workers::new().with_context(|| format!("cannot start threads to serve {address}; raise this user's limits"))?;
    let mut server = workers.spawn(run(router, listener, stopping.clone()));
    file.publish().await?;
    announce(address)?;

    let stopped = select! {
        () = signals.next() => Ok(()),
        taken_over = file.taken_over(on_removed) => taken_over,
        ended = &mut server => bail!("the server on {address} ended by itself: {:?}; start it again", ended?),
    };
    stop_reporting(&mut health).await;
    file.withdraw();
    stopping.cancel();
    select! {
        ended = server => ended??,
        () = sleep(grace) => {}
        () = signals.next() => {}
    }
    // What is still in progress is cut when the process ends.
    Ok(stopped?)
}

async fn run(
    router: Router<Stack<DeadlineLayer, Identity>>,
    listener: net::UnixListener,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    let connections = connections(UnixListener::from_std(listener)?, stopping);
    // It ends with the connections, and only a server that expects a signal waits for the calls on them.
    Ok(router.serve_with_incoming_shutdown(connections, pending()).await?)
}

fn router(health: &HealthReporter) -> anyhow::Result<Router<Stack<DeadlineLayer, Identity>>> {
    let reflection = || {
        SERVICES.iter().fold(
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .with_service_name("grpc.health.v1.Health"),
            |builder, name| builder.with_service_name(*name),
        )
    };
    let health = tonic_health::server::HealthService::from_health_reporter(health.clone());
    let reports = LoadReports::default();
    Ok(Server::builder()
        .layer(DeadlineLayer)
        .add_service(tonic_health::pb::health_server::HealthServer::new(health))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(GreeterServiceServer::new(Greeter))
        .add_service(InteropService::new(reports.clone())?.into_server())
        .add_service(OpenRcaServiceServer::new(OpenRca::new(reports))))
}

/// The connections that come in until `stopping`, and then those that wait to be accepted.
///
/// Whoever waits has sent its call already: tonic would drop the listener, and the call with it. No more can come, as
/// the path is gone or a successor's; and tokio learns of a connection later than the system, so it is the system that
/// is asked.
///
/// It ends when the clients have had time to move elsewhere: tonic then ends the connections that there still are.
fn connections(listener: UnixListener, stopping: CancellationToken) -> impl Stream<Item = io::Result<Connection>> {
    stream! {
        let (open, mut all_closed) = mpsc::channel(1);
        while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
            if accepted.is_err() {
                sleep(ACCEPT_PAUSE).await;
            }
            yield accepted.map(|(stream, _)| Connection::new(stream, &stopping, open.clone()));
        }
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, _)) = listener.accept() {
            yield stream
                .set_nonblocking(true)
                .and_then(|()| UnixStream::from_std(stream))
                .map(|stream| Connection::new(stream, &stopping, open.clone()));
        }
        drop(open);
        let _ = timeout(MOVE_TIME, all_closed.recv()).await;
    }
}

async fn report(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES.iter().chain([&""]) {
        health.set_service_status(service, status).await;
    }
}

/// Says `NOT_SERVING` to whoever asks, and ends every `Watch`, which would hold up its connection until it is cut:
/// a `Watch` ends when the status that it watches is forgotten.
async fn stop_reporting(health: &mut HealthReporter) {
    report(health, ServingStatus::NotServing).await;
    for service in SERVICES.iter().chain([&""]) {
        health.clear_service_status(service).await;
    }
    report(health, ServingStatus::NotServing).await;
}

/// The line that says that calls succeed.
#[derive(Serialize)]
struct Ready {
    event: &'static str,
    address: String,
    pid: u32,
    implementation: &'static str,
    version: &'static str,
}

fn announce(address: &SocketAddress) -> io::Result<()> {
    let address = address.to_string();
    let ready = Ready { event: "ready", address, pid: process::id(), implementation: "tonic", version: TONIC_VERSION };
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&ready)?)?;
    out.flush()
}

/// SIGTERM and SIGINT, none of which is lost once this is made.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
