//! Waits for a server, and explains in one line why a call failed.

use std::{error::Error, time::Duration};

use anyhow::anyhow;
use samehost::{ConnectError, SocketAddress, diagnose};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

/// The pause between two attempts to connect.
const PACE: Duration = Duration::from_millis(100);

/// Waits until a gRPC server answers at the address. Fails at once on an error that does not go away, such as a missing
/// permission.
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

/// Returns the reason why a call failed: the client cannot connect, or the server answered with an error.
pub async fn explain(status: &Status, address: &SocketAddress) -> anyhow::Error {
    // Only the status of a broken connection has a source. A status from the server has none.
    let never_answered = status.code() == Code::DeadlineExceeded || status.source().is_some();
    if never_answered && let Err(reason) = diagnose(address).await {
        return reason.into();
    }
    match status.code() {
        Code::DeadlineExceeded => {
            anyhow!("the server on {address} did not answer before the deadline; use a longer --timeout")
        }
        code => anyhow!("the server on {address} answered {}: {}", code_name(code), status.message()),
    }
}

/// Returns the name of a code in the spelling of gRPC's specification, such as `INVALID_ARGUMENT`. tonic spells it
/// `InvalidArgument`.
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
