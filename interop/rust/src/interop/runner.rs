//! The command `interop`: runs cases one after the other and prints their results.

use std::{
    io::{self, Write},
    time::Duration,
};

use samehost::SocketAddress;
use serde::Serialize;
use tokio::time::{Instant, timeout};

use super::cases::{self, Case};
use crate::explain::wait_for_server;

/// How long to wait for the server before the first case.
const WAIT: Duration = Duration::from_secs(5);

/// How long a case may take. The longest case makes 1000 large calls and takes 2 s on two idle cores.
const CASE_TIME: Duration = Duration::from_secs(60);

/// The result of a case, as a line of JSON.
#[derive(Serialize)]
struct Line {
    case: Case,
    result: &'static str,
    /// The expected and the actual value in one line. Empty for a pass.
    detail: String,
    ms: f64,
}

/// Runs the cases, prints each result at once, and returns whether all passed.
pub async fn run(address: &SocketAddress, cases: &[Case]) -> anyhow::Result<bool> {
    wait_for_server(address, WAIT).await?;
    let mut all_passed = true;
    for &case in cases {
        let line = run_case(address, case).await;
        all_passed &= line.result == "pass";
        let mut out = io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&line)?)?;
        out.flush()?;
    }
    Ok(all_passed)
}

async fn run_case(address: &SocketAddress, case: Case) -> Line {
    let start = Instant::now();
    let outcome = timeout(CASE_TIME, cases::run(case, address)).await;
    let ms = (start.elapsed().as_secs_f64() * 10_000.0).round() / 10.0;
    let (result, detail) = match outcome {
        Ok(Some(Ok(()))) => ("pass", String::new()),
        Ok(Some(Err(failure))) => ("fail", failure.to_string()),
        Ok(None) => ("unimplemented", "this client does not have the case, because it needs Google credentials".into()),
        Err(_) => ("fail", format!("duration of the case: expected at most {CASE_TIME:?}, got more")),
    };
    Line { case, result, detail: detail.split_whitespace().collect::<Vec<_>>().join(" "), ms }
}
