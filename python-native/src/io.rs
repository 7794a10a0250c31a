//! A nonblocking Unix socket for h2, without a runtime. The reactor reports when to read or write again.

use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::authority::AuthorityFilter;
use crate::tls::Tls;

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
    /// Bytes have arrived since the last check of keepalive.
    pub active: AtomicBool,
    /// The certificates that the peer sent in the TLS handshake, its own first.
    pub peer: OnceLock<Vec<CertificateDer<'static>>>,
    /// Why TLS or keepalive failed.
    pub failure: OnceLock<String>,
    /// Announce the end of the connection to the client, after the frames that h2 has written.
    pub announces: AtomicBool,
}

/// A GOAWAY frame with NO_ERROR and the highest possible stream, the first of the two of RFC 9113, section 6.8: the
/// client opens no further stream, and none is refused.
const ANNOUNCEMENT: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];

const FRAME_HEADER_BYTES: usize = 9;
const FRAME_TYPE: usize = 3;
const SETTINGS: u8 = 4;

/// The socket and its state.
pub struct Wire {
    socket: Arc<UnixStream>,
    pub readiness: Arc<Readiness>,
}

impl Wire {
    /// Reads what has arrived. Returns 0 at the end.
    pub fn read(&self, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let readiness = &self.readiness;
        if !readiness.readable.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let read = loop {
            match rustix::io::read(&*self.socket, &mut *space) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    readiness.readable.store(false, Ordering::Release);
                    return Poll::Pending;
                }
                result => break result?,
            }
        };
        if 0 < read && read < space.len() {
            // The socket is empty. epoll reports when more arrives, which saves a read that returns nothing.
            readiness.readable.store(false, Ordering::Release);
        }
        readiness.active.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(read))
    }

    /// Sends bytes, and returns how many.
    pub fn send(&self, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        // Without NOSIGNAL, a closed peer would raise SIGPIPE.
        loop {
            match sendmsg(&*self.socket, slices, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    self.readiness.blocked.store(true, Ordering::Release);
                    return Poll::Pending;
                }
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => {
                    // Read what the peer wrote before it closed: answers, and which calls it has not seen. The read
                    // that finds no more bytes reports the end of the connection.
                    self.readiness.readable.store(true, Ordering::Release);
                    return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
                }
                result => return Poll::Ready(Ok(result?)),
            }
        }
    }
}

/// A socket that never blocks, with or without TLS.
pub struct Io {
    wire: Wire,
    tls: Option<Box<Tls>>,
    authority: Option<AuthorityFilter>,
    collected: Vec<u8>,
    sent: usize,
    /// The first bytes that were read.
    greeting: Vec<u8>,
}

impl Io {
    pub fn new(socket: Arc<UnixStream>, readiness: Arc<Readiness>, tls: Option<Tls>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            wire: Wire { socket, readiness },
            tls: tls.map(Box::new),
            authority: None,
            collected: Vec::with_capacity(COLLECT_BYTES),
            sent: 0,
            greeting: Vec::new(),
        })
    }

    /// Accepts a client that sends the path of the socket as `:authority`.
    pub fn accept_paths(mut self) -> Self {
        self.authority = Some(AuthorityFilter::new());
        self
    }

    /// Sends the collected bytes and then the slices, and returns how many bytes of the slices it sent.
    fn send(&mut self, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.tls.is_some() {
            return self.send_encrypted(slices);
        }
        let pending = self.collected.len() - self.sent;
        let mut all = Vec::with_capacity(slices.len() + 1);
        if pending > 0 {
            all.push(IoSlice::new(&self.collected[self.sent..]));
        }
        all.extend(slices.iter().map(|slice| IoSlice::new(slice)));
        let sent = ready!(self.wire.send(&all))?;
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

    /// Does what `send` does, with TLS. What was encrypted counts as sent: a flush sends the rest.
    fn send_encrypted(&mut self, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Some(tls) = self.tls.as_mut() else { return Poll::Ready(Ok(0)) };
        ready!(tls.poll_handshake(&self.wire))?;
        ready!(tls.poll_flush(&self.wire))?;
        if !self.collected.is_empty() {
            let encrypted = tls.encrypt(&[IoSlice::new(&self.collected)])?;
            self.collected.drain(..encrypted);
        }
        let encrypted = if slices.is_empty() { 0 } else { tls.encrypt(slices)? };
        if let Poll::Ready(Err(error)) = tls.poll_flush(&self.wire) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(encrypted))
    }

    /// Notices whether the first frame of the peer is its SETTINGS.
    fn greet(&mut self, bytes: &[u8]) {
        let missing = FRAME_HEADER_BYTES - self.greeting.len();
        self.greeting.extend(&bytes[..bytes.len().min(missing)]);
        let is_greeting = self.greeting.len() == FRAME_HEADER_BYTES && self.greeting[FRAME_TYPE] == SETTINGS;
        self.wire.readiness.greeted.store(is_greeting, Ordering::Release);
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if let Some(tls) = self.tls.as_mut() {
            let _ = tls.poll_close(&self.wire);
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.tls.is_none() && !this.wire.readiness.readable.load(Ordering::Acquire) {
            return Poll::Pending; // without clearing the buffer
        }
        let wanted = into.remaining().min(READ_BYTES);
        let space = into.initialize_unfilled_to(wanted);
        let read = match this.tls.as_mut() {
            None => ready!(this.wire.read(space))?,
            Some(tls) => ready!(tls.poll_read(&this.wire, space))?,
        };
        if this.greeting.len() < FRAME_HEADER_BYTES {
            this.greet(&space[..read]);
        }
        if let Some(authority) = this.authority.as_mut() {
            authority.filter(&mut space[..read]);
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
        // h2 flushes only between frames.
        if self.wire.readiness.announces.swap(false, Ordering::AcqRel) {
            self.collected.extend_from_slice(&ANNOUNCEMENT);
        }
        while !self.collected.is_empty() {
            match self.send(&[]) {
                Poll::Ready(result) => _ = result?,
                Poll::Pending => return Poll::Pending,
            }
        }
        let this = &mut *self;
        let Some(tls) = this.tls.as_mut() else { return Poll::Ready(Ok(())) };
        ready!(tls.poll_handshake(&this.wire))?;
        tls.poll_flush(&this.wire)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.as_mut().poll_flush(cx)?.is_pending() {
            return Poll::Pending;
        }
        let this = &mut *self;
        if let Some(tls) = this.tls.as_mut() {
            ready!(tls.poll_close(&this.wire))?;
        }
        match this.wire.socket.shutdown(std::net::Shutdown::Write) {
            Err(error) if error.kind() != ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}
