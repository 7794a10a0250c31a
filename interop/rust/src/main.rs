//! The Rust peer of samehost's interop matrix: gRPC over a Unix domain socket with tonic.

mod cli;
mod explain;
mod greet;
mod greeter;
mod interop;
mod proto;
mod serve;
mod workers;

use std::{io, process::ExitCode};

use cli::Command;
use samehost::{Options, Takeover};
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(code) => return code,
    };
    match run(command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // The reader of the output has stopped, and needs no message.
            if !is_broken_pipe(&error) {
                cli::print_error(format_args!("{error:#}"));
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Serve { socket, mode, group, grace, trust_folder, takeover, on_removed } => {
            tracing_subscriber::fmt().with_max_level(Level::WARN).with_writer(io::stderr).init();
            let takeover = if takeover { Takeover::Replace } else { Takeover::Allow };
            let options = Options { mode, group, owner: serve::implementation(), trust_folder, takeover };
            serve::serve(&socket, options, grace, on_removed).await.map(|()| true)
        }
        Command::Greet { socket, name, timeout } => greet::greet(&socket, name, timeout).await.map(|()| true),
        Command::Interop { socket, cases } => interop::runner::run(&socket, &cases).await,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
