//! Backend metrics (ORCA, gRFC A51): a load report with one call, or a stream of reports out of band.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prost::Message;
use tokio::time::interval;
use tokio_stream::{Stream, StreamExt, wrappers::IntervalStream};
use tonic::{
    Request, Response, Status, async_trait,
    metadata::{BinaryMetadataValue, MetadataValue},
};

use crate::proto::{
    grpc::testing::TestOrcaReport,
    xds::{
        data::orca::v3::OrcaLoadReport,
        service::orca::v3::{OrcaLoadReportRequest, open_rca_service_server::OpenRcaService},
    },
};

/// The trailer with one call's serialized report (gRFC A51).
pub const TRAILER: &str = "endpoint-load-metrics-bin";

/// The shortest time between two reports. gRFC A51 requires 30 s in production and allows less in tests. The interop
/// servers of Go and Java use 1 s. With 0.1 s a case ends sooner, and ten small messages a second cost little.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// The out-of-band report of the server. `TestService` sets it and [`OpenRca`] sends it.
#[derive(Clone, Debug, Default)]
pub struct LoadReports(Arc<Mutex<OrcaLoadReport>>);

impl LoadReports {
    pub fn set(&self, report: OrcaLoadReport) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }

    fn current(&self) -> OrcaLoadReport {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The service that sends the report.
#[derive(Debug)]
pub struct OpenRca {
    reports: LoadReports,
}

impl OpenRca {
    pub fn new(reports: LoadReports) -> Self {
        Self { reports }
    }
}

#[async_trait]
impl OpenRcaService for OpenRca {
    /// Sends the report at once, then once in each interval.
    async fn stream_core_metrics(
        &self,
        request: Request<OrcaLoadReportRequest>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<OrcaLoadReport, Status>> + Send>>>, Status> {
        let wanted = request.into_inner().report_interval.unwrap_or_default();
        let period = Duration::try_from(wanted).unwrap_or_default().max(MIN_INTERVAL);
        let reports = self.reports.clone();
        Ok(Response::new(Box::pin(IntervalStream::new(interval(period)).map(move |_| Ok(reports.current())))))
    }
}

/// Converts the report of a test to the report on the wire.
pub fn load_report(report: TestOrcaReport) -> OrcaLoadReport {
    OrcaLoadReport {
        cpu_utilization: report.cpu_utilization,
        mem_utilization: report.memory_utilization,
        request_cost: report.request_cost,
        utilization: report.utilization,
        ..Default::default()
    }
}

/// Converts the report of a test to the value of the trailer.
pub fn serialized(report: TestOrcaReport) -> BinaryMetadataValue {
    MetadataValue::from_bytes(&load_report(report).encode_to_vec())
}
