//! The assertions of the official cases. Each failure is one line with the expected and the actual value.

use std::{fmt::Debug, time::Duration};

use prost::Message;
use tokio::time::Instant;
use tonic::{Code, Status, metadata::MetadataMap};

use super::{ECHO_INITIAL, ECHO_TRAILING, orca, requests};
use crate::{
    explain::code_name,
    proto::{
        grpc::testing::{
            EchoStatus, Empty, Payload, PayloadType, SimpleResponse, StreamingInputCallResponse,
            StreamingOutputCallResponse, TestOrcaReport,
        },
        xds::data::orca::v3::OrcaLoadReport,
    },
};

/// The defaults of the official clients. No failure is allowed.
const SOAK_ITERATIONS: u32 = 10;
const SOAK_ITERATION_TIME: Duration = Duration::from_secs(1);

/// A case failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// A call failed that the case expects to succeed.
impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self(format!("status: expected OK, got {} {:?}", code_name(status.code()), status.message()))
    }
}

pub type Outcome = Result<(), Failure>;

/// Fails unless two things are equal.
pub fn equal<T: PartialEq + Debug>(what: &str, got: &T, expected: &T) -> Outcome {
    if got == expected {
        return Ok(());
    }
    Err(Failure(format!("{what}: expected {expected:?}, got {got:?}")))
}

/// Fails unless a response has zero bytes.
pub fn empty(response: Empty) -> Outcome {
    equal("size of the response in bytes", &response.encoded_len(), &0)
}

/// Fails unless a payload has the right type, size and contents.
fn payload(what: &str, got: Option<&Payload>, size: i32) -> Outcome {
    let Some(payload) = got else {
        return Err(Failure(format!("payload of {what}: expected {size} bytes, got none")));
    };
    equal(&format!("payload type of {what}"), &payload.r#type, &(PayloadType::Compressable as i32))?;
    equal(&format!("payload size of {what}"), &payload.body.len(), &usize::try_from(size).unwrap_or_default())?;
    if payload.body.iter().any(|byte| *byte != 0) {
        return Err(Failure(format!("payload of {what}: expected {size} zeros, got other bytes")));
    }
    Ok(())
}

/// Fails unless a response is the response of `large_unary`.
pub fn large(response: &SimpleResponse) -> Outcome {
    payload("the response", response.payload.as_ref(), requests::LARGE_RESPONSE_BYTES)
}

/// Fails unless both responses have the same payload.
pub fn cached(first: SimpleResponse, second: SimpleResponse) -> Outcome {
    equal("payload of the second response", &second.payload.unwrap_or_default(), &first.payload.unwrap_or_default())
}

/// Fails unless a response has the sum of these sizes.
pub fn aggregated(response: StreamingInputCallResponse, sizes: impl IntoIterator<Item = usize>) -> Outcome {
    let sum = i32::try_from(sizes.into_iter().sum::<usize>()).unwrap_or(i32::MAX);
    equal("aggregated_payload_size", &response.aggregated_payload_size, &sum)
}

/// Fails unless a stream returned responses of exactly these sizes, in order.
pub fn outputs(responses: &[StreamingOutputCallResponse], sizes: &[i32]) -> Outcome {
    let got: Vec<_> =
        responses.iter().map(|each| each.payload.as_ref().map_or(0, |payload| payload.body.len())).collect();
    let expected: Vec<_> = sizes.iter().map(|&size| usize::try_from(size).unwrap_or_default()).collect();
    equal("payload sizes of the responses", &got, &expected)?;
    for (number, (response, &size)) in responses.iter().zip(sizes).enumerate() {
        payload(&format!("response {}", number + 1), response.payload.as_ref(), size)?;
    }
    Ok(())
}

/// Fails unless a stream has a next response of this size.
pub fn output(response: Option<StreamingOutputCallResponse>, size: i32) -> Outcome {
    match response {
        Some(response) => payload("the response", response.payload.as_ref(), size),
        None => Err(Failure(format!(
            "next response of the stream: expected one of {size} bytes, got the end of the stream"
        ))),
    }
}

/// Fails if a stream has another response.
pub fn end(response: Option<StreamingOutputCallResponse>) -> Outcome {
    match response {
        None => Ok(()),
        Some(response) => Err(Failure(format!(
            "end of the stream: expected no response, got one of {} bytes",
            response.payload.unwrap_or_default().body.len()
        ))),
    }
}

/// Fails unless the server returned both pieces of metadata once, in the headers and in the trailers.
pub fn echoes(initial: &MetadataMap, trailing: &MetadataMap) -> Outcome {
    equal(
        &format!("{ECHO_INITIAL} in initial metadata"),
        &initial.get_all(ECHO_INITIAL).iter().map(|value| value.to_str().unwrap_or_default()).collect::<Vec<_>>(),
        &vec![requests::ECHO_INITIAL],
    )?;
    equal(
        &format!("{ECHO_TRAILING} in trailing metadata"),
        &binary_values(trailing, ECHO_TRAILING),
        &vec![requests::ECHO_TRAILING.to_vec()],
    )
}

fn binary_values(metadata: &MetadataMap, key: &str) -> Vec<Vec<u8>> {
    let values = metadata.get_all_bin(key);
    values.iter().map(|value| value.to_bytes().unwrap_or_default().to_vec()).collect()
}

/// Fails unless all calls reached one server that has a name.
pub fn same_server(mut ids: Vec<String>) -> Outcome {
    let count = ids.len();
    ids.sort();
    ids.dedup();
    match ids.as_slice() {
        [only] if !only.is_empty() => Ok(()),
        _ => Err(Failure(format!("server_id of {count} responses: expected one that is not empty, got {ids:?}"))),
    }
}

/// Fails unless the trailers of a call have the load report of its request.
pub fn reported_with_call(trailing: &MetadataMap) -> Outcome {
    let serialized = binary_values(trailing, orca::TRAILER);
    equal(&format!("number of {} in the trailing metadata", orca::TRAILER), &serialized.len(), &1)?;
    match OrcaLoadReport::decode(serialized[0].as_slice()) {
        Ok(report) => equal("load report", &report, &reported(requests::report_of_call())),
        Err(error) => Err(Failure(format!("load report: expected a valid message, got {error}"))),
    }
}

/// Returns the report that is expected.
pub fn reported(report: TestOrcaReport) -> OrcaLoadReport {
    orca::load_report(report)
}

/// Fails unless a call ended with this status.
pub fn status<T>(result: Result<T, Status>, code: Code) -> Result<Status, Failure> {
    match result {
        Ok(_) => Err(Failure(format!("status code: expected {}, got OK", code_name(code)))),
        Err(status) => {
            equal("status code", &code_name(status.code()), &code_name(code))?;
            Ok(status)
        }
    }
}

/// Fails unless a call ended with the status of its request.
pub fn echoed_status<T>(result: Result<T, Status>, expected: &EchoStatus) -> Outcome {
    let status = status(result, Code::from_i32(expected.code))?;
    equal("status message", &status.message(), &expected.message.as_str())
}

/// Runs the iterations of a soak test. Fails if one of them fails or takes longer than a second.
pub async fn soak(iteration: impl AsyncFn() -> Outcome) -> Outcome {
    let last = Instant::now() + SOAK_ITERATIONS * SOAK_ITERATION_TIME;
    let (mut done, mut faults) = (0, Vec::new());
    while done < SOAK_ITERATIONS && Instant::now() <= last {
        let start = Instant::now();
        let outcome = iteration().await;
        let took = start.elapsed();
        match outcome {
            Err(failure) => faults.push(failure.0),
            Ok(()) if took > SOAK_ITERATION_TIME => faults.push(format!("took {} ms", took.as_millis())),
            Ok(()) => {}
        }
        done += 1;
    }
    equal("number of iterations in time", &done, &SOAK_ITERATIONS)?;
    match faults.first() {
        None => Ok(()),
        Some(first) => Err(Failure(format!("failed iterations: expected none, got {}, first: {first}", faults.len()))),
    }
}
