//! The threads that run the handlers of a server.

use std::io;

use tokio::{
    runtime::{Handle, Runtime},
    task::JoinHandle,
};

/// A runtime whose drop does not wait for its threads. A plain tokio runtime waits for all of them, so that a handler
/// that blocks would keep the process from exiting.
#[derive(Debug)]
pub struct Workers {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Workers {
    pub fn new() -> io::Result<Self> {
        let runtime = Runtime::new()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn(task)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn dropping_does_not_wait_for_a_task_that_blocks() {
        let (unblock, blocked) = mpsc::channel::<()>();
        let (started, start) = mpsc::channel();
        let workers = Workers::new().unwrap();
        let task = workers.spawn(async move {
            started.send(()).unwrap();
            blocked.recv().unwrap_err()
        });
        start.recv().unwrap();
        drop(workers);
        assert!(!task.is_finished());
        drop(unblock);
    }
}
