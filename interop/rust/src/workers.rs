//! The threads of a server's handlers.

use std::io;

use tokio::{
    runtime::{Handle, Runtime},
    task::JoinHandle,
};

/// A runtime that is left behind when it is dropped: tokio's own waits for all of its threads then, so a handler that
/// blocks one would keep the process from ending.
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
