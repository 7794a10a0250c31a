//! What it means that a server is not there, or that a call failed, in one line.

use std::{error::Error, time::Duration};

use anyhow::anyhow;
use samehost::{ConnectError, SocketAddress, diagnose};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

/// How often to look for a server.
const PACE: Duration = Duration::from_millis(100);

/// Waits until a gRPC server answers at the address, or fails with the reason why none does: at once where waiting
/// can't cure it.
pub async fn wait_for_server(address: &SocketAddress, wait: Duration) -> Result<(), ConnectError> {
    let answered = timeout(wait, async {
        loop {
            match diagnose(address).await {
                Err(reason) if reason.is_transient() => sleep(PACE).await,
                result => return result,
            }
        }
    });
    match answered.await {
        Ok(result) => result,
        Err(_) => diagnose(address).await,
    }
}

/// Says what a failed call means: why the server can't be reached, or else what it answered.
pub async fn explain(status: &Status, address: &SocketAddress) -> anyhow::Error {
    // A status that came over the wire has no source; one that was made of a broken connection has.
    let never_answered = status.code() == Code::DeadlineExceeded || status.source().is_some();
    if never_answered && let Err(reason) = diagnose(address).await {
        return reason.into();
    }
    match status.code() {
        Code::DeadlineExceeded => {
            anyhow!("no answer from {address} before the deadline; give it more time, or see what keeps it")
        }
        code => anyhow!("{address} answered {}: {}", code_name(code), status.message()),
    }
}

/// The code as gRPC's specification spells it, `INVALID_ARGUMENT`; tonic's own names are `InvalidArgument`.
pub fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}
