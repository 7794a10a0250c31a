//! The command line. All languages of the matrix have the same three commands.

use std::{
    env,
    error::Error,
    fmt,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum, error::ErrorKind};
use nix::unistd::Group;
use samehost::{AddressError, SocketAddress};

use crate::interop::Case;

pub const PROGRAM: &str = env!("CARGO_PKG_NAME");
const EXIT_USAGE: u8 = 2;

/// Thirty years in seconds. tonic panics if a deadline is beyond 11,415 years.
const MAX_SECONDS: f64 = 1e9;

/// The Rust peer of the interop matrix.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, arg_required_else_help = false)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve Greeter, the interop services, health and reflection until SIGTERM or SIGINT.
    Serve {
        /// Absolute path of the socket, or unix:PATH.
        #[arg(long, value_name = "PATH", value_parser = parse_socket)]
        socket: SocketAddress,
        /// Permissions of the socket, in octal.
        #[arg(long, default_value = "0660", value_parser = parse_mode)]
        mode: u32,
        /// Group of the socket, as a name or a number [default: the group of a new file in the folder].
        #[arg(long, value_name = "NAME|GID", value_parser = parse_group)]
        group: Option<u32>,
        /// Seconds that running calls have to finish after a signal or a takeover.
        #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = parse_seconds, allow_hyphen_values = true)]
        grace: Duration,
        /// Serve in a folder that every user can write to.
        #[arg(long)]
        trust_folder: bool,
        /// Replace the server that uses the path. It drains and stops.
        #[arg(long)]
        takeover: bool,
        /// Whether to keep serving or to drain and fail when the socket is removed.
        #[arg(long, value_enum, default_value = "serve", value_name = "serve|stop", hide_possible_values = true)]
        on_removed: OnRemoved,
    },
    /// Make all four kinds of call of Greeter and print the messages.
    Greet {
        /// Absolute path of the socket, or unix:PATH.
        #[arg(long, value_name = "PATH", value_parser = parse_socket)]
        socket: SocketAddress,
        /// Name to greet.
        #[arg(long)]
        name: String,
        /// Seconds that each call may take, including the wait for the server.
        #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = parse_timeout, allow_hyphen_values = true)]
        timeout: Duration,
    },
    /// Run official cases and print a line of JSON for each. The exit code is 0 if all passed.
    Interop {
        /// Absolute path of the socket, or unix:PATH.
        #[arg(long, value_name = "PATH", value_parser = parse_socket)]
        socket: SocketAddress,
        /// An official case. Repeat the option for more cases.
        #[arg(long = "case", required = true, value_name = "NAME")]
        cases: Vec<Case>,
    },
}

/// The reaction of a server when its socket is removed or replaced, so that no new client finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnRemoved {
    /// Log a warning and serve the clients that are connected.
    Serve,
    /// Drain and fail.
    Stop,
}

/// Parses the command line. Prints an error in one line, and help as clap formats it.
pub fn parse() -> Result<Command, ExitCode> {
    CommandLine::try_parse().map(|line| line.command).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => {
            let mut message = match error.source().and_then(|source| source.downcast_ref::<AddressError>()) {
                Some(error) => error.to_string(),
                None => first_paragraph(&error.to_string()).to_owned(),
            };
            if let Some(path) = socket_argument().filter(|path| !message.contains(path)) {
                message = format!("{message}; the socket is {path}");
            }
            print_error(message);
            ExitCode::from(EXIT_USAGE)
        }
    })
}

/// Prints an error to stderr in one line.
pub fn print_error(message: impl fmt::Display) {
    let message = message.to_string();
    let words: Vec<_> = message.split_whitespace().collect();
    let _ = writeln!(io::stderr(), "{PROGRAM}: {}", words.join(" "));
}

/// Returns clap's message without its usage and tips, which have several lines.
fn first_paragraph(text: &str) -> &str {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    text.split("\n\n").next().unwrap_or(text)
}

/// Returns the value of `--socket`. Each error names it, even an error about another option.
fn socket_argument() -> Option<String> {
    let mut arguments = env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = arguments.next() {
        if argument == "--socket" {
            return arguments.next();
        }
        if let Some(path) = argument.strip_prefix("--socket=") {
            return Some(path.to_owned());
        }
    }
    None
}

fn parse_socket(text: &str) -> Result<SocketAddress, AddressError> {
    SocketAddress::new(text)
}

fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Ok(mode),
        _ => Err("use an octal mode from 0000 to 0777".into()),
    }
}

fn parse_group(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err("the group does not exist on this machine; create it or use its number".into()),
        Err(error) => {
            let reason = error.desc().to_lowercase();
            Err(format!("cannot read the groups of this machine: {reason}; use a number"))
        }
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0.0..=MAX_SECONDS) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("use a number of seconds from 0 to {MAX_SECONDS:e}")),
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_seconds(text)? {
        Duration::ZERO => Err("use a number of seconds above 0".into()),
        time => Ok(time),
    }
}
