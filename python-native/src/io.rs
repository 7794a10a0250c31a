//! A nonblocking Unix socket for h2, without a runtime. The reactor reports when to read or write again.

use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes of one read. A Unix socket holds 208 KiB by default (net.core.wmem_default).
const READ_BYTES: usize = 256 * 1024;

/// Writes up to this size are collected, so that one system call sends headers, a message and trailers.
const COLLECT_BYTES: usize = 16 * 1024;

/// The state of the socket. The reactor and the socket both update it.
#[derive(Default)]
pub struct Readiness {
    /// The socket may have bytes to read.
    pub readable: AtomicBool,
    /// The last write failed because the socket was full.
    pub blocked: AtomicBool,
    /// The peer has sent a SETTINGS frame first, as HTTP/2 requires (RFC 9113, section 3.4).
    pub greeted: AtomicBool,
}

const FRAME_HEADER_BYTES: usize = 9;
const FRAME_TYPE: usize = 3;
const SETTINGS: u8 = 4;

/// A socket that never blocks.
pub struct Io {
    socket: Arc<UnixStream>,
    readiness: Arc<Readiness>,
    collected: Vec<u8>,
    sent: usize,
    /// The first bytes that were read.
    greeting: Vec<u8>,
}

impl Io {
    pub fn new(socket: Arc<UnixStream>, readiness: Arc<Readiness>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, readiness, collected: Vec::with_capacity(COLLECT_BYTES), sent: 0, greeting: Vec::new() })
    }

    /// Sends the collected bytes and then the slices, and returns how many bytes of the slices it sent.
    fn send(&mut self, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let pending = self.collected.len() - self.sent;
        let mut all = Vec::with_capacity(slices.len() + 1);
        if pending > 0 {
            all.push(IoSlice::new(&self.collected[self.sent..]));
        }
        all.extend(slices.iter().map(|slice| IoSlice::new(slice)));
        // Without NOSIGNAL, a closed peer would raise SIGPIPE.
        let sent = loop {
            match sendmsg(&*self.socket, &all, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    self.readiness.blocked.store(true, Ordering::Release);
                    return Poll::Pending;
                }
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => {
                    // Read what the peer wrote before it closed: answers, and which calls it has not seen. The read
                    // that finds no more bytes reports the end of the connection.
                    self.readiness.readable.store(true, Ordering::Release);
                    break pending + slices.iter().map(|slice| slice.len()).sum::<usize>();
                }
                result => break result?,
            }
        };
        if sent < pending {
            self.sent += sent;
            return self.send(slices);
        }
        self.collected.clear();
        self.sent = 0;
        if sent == pending && !slices.is_empty() {
            return self.send(slices);
        }
        Poll::Ready(Ok(sent - pending))
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.readiness.readable.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let wanted = into.remaining().min(READ_BYTES);
        let space = into.initialize_unfilled_to(wanted);
        let read = loop {
            match rustix::io::read(&*self.socket, &mut *space) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    self.readiness.readable.store(false, Ordering::Release);
                    return Poll::Pending;
                }
                result => break result?,
            }
        };
        if 0 < read && read < wanted {
            // The socket is empty. epoll reports when more arrives, which saves a read that returns nothing.
            self.readiness.readable.store(false, Ordering::Release);
        }
        if self.greeting.len() < FRAME_HEADER_BYTES {
            let missing = FRAME_HEADER_BYTES - self.greeting.len();
            let found = space[..read.min(missing)].to_vec();
            self.greeting.extend(found);
            let is_greeting = self.greeting.len() == FRAME_HEADER_BYTES && self.greeting[FRAME_TYPE] == SETTINGS;
            self.readiness.greeted.store(is_greeting, Ordering::Release);
        }
        into.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.collected.len() + length > COLLECT_BYTES {
            return self.send(slices);
        }
        for slice in slices {
            self.collected.extend_from_slice(slice);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.collected.is_empty() {
            match self.send(&[]) {
                Poll::Ready(result) => _ = result?,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.as_mut().poll_flush(cx)?.is_pending() {
            return Poll::Pending;
        }
        match self.socket.shutdown(std::net::Shutdown::Write) {
            Err(error) if error.kind() != ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}
