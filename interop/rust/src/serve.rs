//! The command `serve`: starts all services, prints the ready line, and stops without losing a call.

use std::{
    future::pending,
    io::{self, Write},
    process,
    time::Duration,
};

use anyhow::{anyhow, bail};
use samehost::{DeadlineLayer, Event, ListenError, Options, SocketAddress, listen};
use serde::Serialize;
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
};
use tonic::transport::{Server, server::Router};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::layer::util::{Identity, Stack};
use tracing::warn;

use crate::{
    cli::OnRemoved,
    greeter::Greeter,
    interop::{
        orca::{LoadReports, OpenRca},
        service::InteropService,
    },
    proto::{
        FILE_DESCRIPTOR_SET,
        grpc::testing::test_service_server,
        samehost::greeter::v1::greeter_service_server::{self, GreeterServiceServer},
        xds::service::orca::v3::open_rca_service_server::{self, OpenRcaServiceServer},
    },
    workers::Workers,
};

const TONIC_VERSION: &str = env!("TONIC_VERSION");

/// The services that health and reflection report. Health also reports the empty name, for the whole server.
const SERVICES: [&str; 3] =
    [greeter_service_server::SERVICE_NAME, test_service_server::SERVICE_NAME, open_rca_service_server::SERVICE_NAME];

/// Returns the name of this server in the lock file.
pub fn implementation() -> String {
    format!("tonic {TONIC_VERSION}")
}

/// Serves until a signal, a takeover or the removal of its path, and stops as PROTOCOL.md requires.
///
/// It does not run in the threads of the handlers, so that it receives signals and stops in time even if handlers
/// block.
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
    let workers = Workers::new().map_err(|error| {
        anyhow!("cannot listen on {address}: cannot start threads: {error}; raise the limits of this user")
    })?;

    let mut listener = listen(address, options).await.map_err(|error| match error {
        ListenError::UnsafeFolder { .. } => anyhow!("{error}, or use --trust-folder"),
        _ => error.into(),
    })?;
    let mut server = workers.spawn(router.serve_with_incoming_shutdown(listener.incoming(), pending()));
    announce(address)?;

    let stopped = loop {
        select! {
            () = signals.next() => break Ok(()),
            event = listener.next_event() => match event {
                Event::TakenOver => break Ok(()),
                Event::Removed if on_removed == OnRemoved::Stop => break Err(removed(address)),
                Event::Removed => warn!("{}", removed(address)),
            },
            ended = &mut server => bail!("the server on {address} stopped by itself: {:?}; start it again", ended?),
        }
    };
    stop_reporting(&mut health).await;
    select! {
        // Calls that still run after the grace fail when the process exits.
        ended = listener.drain(server, grace) => if let Ok(ended) = ended { ended?? },
        () = signals.next() => {}
    }
    stopped
}

fn removed(address: &SocketAddress) -> anyhow::Error {
    anyhow!(
        "the socket {} was removed or replaced, and new clients cannot connect; start the server again",
        address.path().display()
    )
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

async fn report(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES.iter().chain([&""]) {
        health.set_service_status(service, status).await;
    }
}

/// Reports `NOT_SERVING` and ends every `Watch`, which would keep its connection open until the end of the grace. A
/// `Watch` ends when its status is cleared.
async fn stop_reporting(health: &mut HealthReporter) {
    report(health, ServingStatus::NotServing).await;
    for service in SERVICES.iter().chain([&""]) {
        health.clear_service_status(service).await;
    }
    report(health, ServingStatus::NotServing).await;
}

/// The ready line: from now on, calls succeed.
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

/// SIGTERM and SIGINT. No signal is lost after `new`.
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
