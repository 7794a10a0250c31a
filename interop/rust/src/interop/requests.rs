//! The requests of the official cases, as grpc/grpc doc/interop-test-descriptions.md defines them.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::proto::{
    grpc::testing::{
        BoolValue, EchoStatus, Payload, ResponseParameters, SimpleRequest, StreamingInputCallRequest,
        StreamingOutputCallRequest, TestOrcaReport,
    },
    xds::service::orca::v3::OrcaLoadReportRequest,
};

pub const LARGE_REQUEST_BYTES: usize = 271_828;
pub const LARGE_RESPONSE_BYTES: i32 = 314_159;
pub const REQUEST_BYTES: [usize; 4] = [27_182, 8, 1_828, 45_904];
pub const RESPONSE_BYTES: [i32; 4] = [31_415, 9, 2_653, 58_979];
/// The requests of `client_compressed_streaming` and the responses of `server_compressed_streaming`, in order: the
/// size, and whether the message is compressed.
pub const COMPRESSED_REQUESTS: [(usize, bool); 2] = [(27_182, true), (45_904, false)];
pub const COMPRESSED_RESPONSES: [(i32, bool); 2] = [(31_415, true), (92_653, false)];

pub const ECHO_INITIAL: &str = "test_initial_metadata_value";
pub const ECHO_TRAILING: &[u8] = b"\xab\xab\xab";

pub const CONCURRENT_CALLS: usize = 1000;
/// How many calls must reach the same server, as in grpc-go and grpc-java. The description names no number.
pub const PICK_FIRST_CALLS: usize = 100;
/// The deadline of `timeout_on_sleeping_server`.
pub const TIMEOUT: Duration = Duration::from_millis(1);

fn payload(size: usize) -> Payload {
    Payload { body: vec![0; size].into(), ..Default::default() }
}

/// The request of `large_unary`.
pub fn large() -> SimpleRequest {
    SimpleRequest {
        response_size: LARGE_RESPONSE_BYTES,
        payload: Some(payload(LARGE_REQUEST_BYTES)),
        ..Default::default()
    }
}

/// A request that was never sent before: its payload is the time.
pub fn cacheable() -> SimpleRequest {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let body = now.to_string().into_bytes().into();
    SimpleRequest { payload: Some(Payload { body, ..Default::default() }), ..Default::default() }
}

pub fn input(size: usize) -> StreamingInputCallRequest {
    StreamingInputCallRequest { payload: Some(payload(size)), ..Default::default() }
}

/// A request that tells the server whether it is compressed.
pub fn input_expecting(size: usize, compressed: bool) -> StreamingInputCallRequest {
    StreamingInputCallRequest { expect_compressed: Some(BoolValue { value: compressed }), ..input(size) }
}

/// A request of one size for responses of other sizes.
pub fn output(request_bytes: usize, response_bytes: &[i32]) -> StreamingOutputCallRequest {
    let response_parameters = response_bytes.iter().map(|&size| ResponseParameters { size, ..Default::default() });
    StreamingOutputCallRequest {
        response_parameters: response_parameters.collect(),
        payload: Some(payload(request_bytes)),
        ..Default::default()
    }
}

/// The request of `server_compressed_streaming`.
pub fn compressed_output() -> StreamingOutputCallRequest {
    let response_parameters = COMPRESSED_RESPONSES.map(|(size, compressed)| ResponseParameters {
        size,
        compressed: Some(BoolValue { value: compressed }),
        ..Default::default()
    });
    StreamingOutputCallRequest { response_parameters: response_parameters.into(), ..Default::default() }
}

/// The requests of `ping_pong`. Each is sent after the response to the previous one.
pub fn ping_pong() -> impl Iterator<Item = StreamingOutputCallRequest> {
    REQUEST_BYTES.into_iter().zip(RESPONSE_BYTES).map(|(request, response)| output(request, &[response]))
}

/// A request that sets the out-of-band report. The server confirms it with one response.
pub fn reporting(report: TestOrcaReport) -> StreamingOutputCallRequest {
    StreamingOutputCallRequest { orca_oob_report: Some(report), ..output(0, &[1]) }
}

pub fn status() -> EchoStatus {
    EchoStatus { code: 2, message: "test status message".into() }
}

pub fn special_status() -> EchoStatus {
    EchoStatus {
        code: 2,
        message: "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n".into(),
    }
}

pub fn report_of_call() -> TestOrcaReport {
    TestOrcaReport {
        cpu_utilization: 0.8210,
        memory_utilization: 0.5847,
        request_cost: HashMap::from([("cost".into(), 3456.32)]),
        utilization: HashMap::from([("util".into(), 0.30499)]),
    }
}

pub fn reports_out_of_band() -> [TestOrcaReport; 2] {
    [(0.8210, 0.5847, 0.30499), (0.29309, 0.2, 0.2039)].map(|(cpu_utilization, memory_utilization, util)| {
        TestOrcaReport {
            cpu_utilization,
            memory_utilization,
            utilization: HashMap::from([("util".into(), util)]),
            ..Default::default()
        }
    })
}

/// Requests ten out-of-band reports a second.
pub fn listen() -> OrcaLoadReportRequest {
    let report_interval = Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 });
    OrcaLoadReportRequest { report_interval, ..Default::default() }
}
