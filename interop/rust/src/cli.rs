//! The command line: three commands, the same in every language of the matrix.

use std::{
    env, fmt,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum, error::ErrorKind};
use nix::unistd::Group;
use samehost::{AddressFault, SocketAddress};

use crate::interop::Case;

pub const PROGRAM: &str = env!("CARGO_PKG_NAME");
const EXIT_USAGE: u8 = 2;

/// Thirty years in seconds; tonic panics where a deadline is beyond 11,415 years.
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
        /// Group of the socket, a name or a number [default: the process's].
        #[arg(long, value_name = "NAME|GID", value_parser = parse_group)]
        group: Option<u32>,
        /// Seconds that calls have to finish after a signal or a takeover.
        #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = parse_seconds, allow_hyphen_values = true)]
        grace: Duration,
        /// Serve in a folder that every user may write to.
        #[arg(long)]
        trust_folder: bool,
        /// Take the path over from a server that has it, which drains and goes.
        #[arg(long)]
        takeover: bool,
        /// What to do when someone removes the path.
        #[arg(long, value_enum, default_value = "serve", value_name = "serve|stop", hide_possible_values = true)]
        on_removed: OnRemoved,
    },
    /// Make all four kinds of call of Greeter and print what was said.
    Greet {
        /// Absolute path of the socket, or unix:PATH.
        #[arg(long, value_name = "PATH", value_parser = parse_socket)]
        socket: SocketAddress,
        /// Who is greeted.
        #[arg(long)]
        name: String,
        /// Seconds that each call may take, waiting for the server included.
        #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = parse_timeout, allow_hyphen_values = true)]
        timeout: Duration,
    },
    /// Run official cases and print a line of JSON for each; the exit code is 0 if all passed.
    Interop {
        /// Absolute path of the socket, or unix:PATH.
        #[arg(long, value_name = "PATH", value_parser = parse_socket)]
        socket: SocketAddress,
        /// An official case; may be given again.
        #[arg(long = "case", required = true, value_name = "NAME")]
        cases: Vec<Case>,
    },
}

/// What a server does when someone removes its path or puts something else there, so that no new client finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnRemoved {
    /// Says so, and serves on what it has.
    Serve,
    /// Drains, and fails.
    Stop,
}

/// Reads the command line; what is wrong with it is said in one line, and help is printed as it is.
pub fn parse() -> Result<Command, ExitCode> {
    CommandLine::try_parse().map(|line| line.command).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        _ => {
            let mut message = first_paragraph(&error.to_string()).to_owned();
            if let Some(path) = socket_argument().filter(|path| !message.contains(path)) {
                message = format!("{message}; the socket is {path}");
            }
            say(message);
            ExitCode::from(EXIT_USAGE)
        }
    })
}

/// Says what went wrong in one line on stderr.
pub fn say(message: impl fmt::Display) {
    let message = message.to_string();
    let words: Vec<_> = message.split_whitespace().collect();
    let _ = writeln!(io::stderr(), "{PROGRAM}: {}", words.join(" "));
}

/// clap's message without its usage and tips, which take lines of their own.
fn first_paragraph(text: &str) -> &str {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    text.split("\n\n").next().unwrap_or(text)
}

/// The path as it was given: each error names it, also one that is about another argument.
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

fn parse_socket(text: &str) -> Result<SocketAddress, AddressFault> {
    SocketAddress::new(text).map_err(|error| error.fault)
}

fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Ok(mode),
        _ => Err("it is none a socket can have; give an octal one from 0000 to 0777, as in 0660".into()),
    }
}

fn parse_group(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err("no group has that name on this machine; create it, or give its number".into()),
        Err(error) => Err(format!("the groups of this machine can't be read: {error}; give a number")),
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0.0..=MAX_SECONDS) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("give a number of seconds from 0 to {MAX_SECONDS:e}")),
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_seconds(text)? {
        Duration::ZERO => Err("give a number of seconds above 0".into()),
        time => Ok(time),
    }
}
