//! The Rust peer of samehost's interop matrix: gRPC over a Unix domain socket with tonic.

mod address;
mod cli;
mod connection;
mod deadline;
mod deadline_layer;
mod diagnosis;
mod dial;
mod greet;
mod greeter;
mod interop;
mod listen;
mod lock;
mod probe;
mod proto;
mod serve;
mod takeover;
mod watch;

use std::{io, process::ExitCode};

use cli::Command;

#[tokio::main]
async fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(code) => return code,
    };
    match run(command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Whoever read our output has gone, and knows.
            if !is_broken_pipe(&error) {
                cli::say(format_args!("{error:#}"));
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Serve { socket, mode, group, grace, takeover, on_removed } => {
            serve::serve(&socket, mode, group, grace, takeover, on_removed).await.map(|()| true)
        }
        Command::Greet { socket, name, timeout } => greet::greet(&socket, name, timeout).await.map(|()| true),
        Command::Interop { socket, cases } => interop::runner::run(&socket, &cases).await,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
