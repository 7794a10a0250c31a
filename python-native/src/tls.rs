//! TLS 1.3 between h2 and the socket, with rustls.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::task::{Poll, ready};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ServerConnection, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, Connection, Error, RootCertStore, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::io::Wire;
use crate::reactor::lock;

/// HTTP/2 over TLS (RFC 9113, section 3.2).
const ALPN: &[u8] = b"h2";

/// How many bytes are read and encrypted at once. A Unix socket holds 208 KiB by default (net.core.wmem_default).
const BUFFER_BYTES: usize = 256 * 1024;

/// The OID of the common name (RFC 5280, appendix A.1).
const COMMON_NAME: x509_cert::der::oid::ObjectIdentifier = x509_cert::der::oid::ObjectIdentifier::new_unwrap("2.5.4.3");

/// The TLS of one connection.
pub struct Tls {
    connection: Connection,
    /// Bytes of the socket. Those from `used` to `filled` have not been decrypted.
    input: Vec<u8>,
    used: usize,
    filled: usize,
    is_open: bool,
}

impl Tls {
    pub fn new(mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(BUFFER_BYTES));
        Self { connection, input: Vec::new(), used: 0, filled: 0, is_open: false }
    }

    /// Does the handshake. It needs no reader or writer: each of them drives it.
    pub fn poll_handshake(&mut self, wire: &Wire) -> Poll<io::Result<()>> {
        while !self.is_open {
            ready!(self.poll_flush(wire))?;
            if self.connection.is_handshaking() {
                if ready!(self.poll_input(wire))? == 0 {
                    return Poll::Ready(Err(self.fail(wire, "the peer closed the connection".to_owned())));
                }
                continue;
            }
            if self.connection.alpn_protocol() != Some(ALPN) {
                return Poll::Ready(Err(self.fail(wire, "the peer did not choose HTTP/2 (ALPN)".to_owned())));
            }
            if let Some(chain) = self.connection.peer_certificates() {
                let _ = wire.readiness.peer.set(chain.iter().cloned().map(CertificateDer::into_owned).collect());
            }
            self.is_open = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads decrypted bytes. Returns 0 if the peer has closed the connection.
    ///
    /// An end without close_notify is an end, too: HTTP/2 has its own ends of streams.
    pub fn poll_read(&mut self, wire: &Wire, space: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_handshake(wire))?;
        let mut read = 0;
        while read < space.len() {
            match self.connection.reader().read(&mut space[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => match self.poll_input(wire) {
                    Poll::Ready(Ok(0)) => break,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) if read > 0 => break, // the next read returns it
                    Poll::Pending if read > 0 => break,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                },
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(read))
    }

    /// Encrypts bytes after the handshake, and returns how many: some if nothing waits to be sent.
    pub fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.connection.writer().write_vectored(slices)
    }

    /// Sends the encrypted bytes.
    pub fn poll_flush(&mut self, wire: &Wire) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Sender(wire)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                result => _ = result?,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Tells the peer that no more bytes follow.
    pub fn poll_close(&mut self, wire: &Wire) -> Poll<io::Result<()>> {
        self.connection.send_close_notify();
        self.poll_flush(wire)
    }

    /// Decrypts the next bytes of the socket, and returns how many it took. Returns 0 at their end.
    fn poll_input(&mut self, wire: &Wire) -> Poll<io::Result<usize>> {
        if let Some(cause) = wire.readiness.failure.get() {
            return Poll::Ready(Err(io::Error::other(cause.clone())));
        }
        if self.used == self.filled {
            self.input.resize(BUFFER_BYTES, 0);
            self.filled = 0;
            self.used = 0;
            self.filled = ready!(wire.read(&mut self.input))?;
        }
        // rustls takes a few KiB at once, and nothing while decrypted bytes wait.
        let taken = self.connection.read_tls(&mut &self.input[self.used..self.filled])?;
        self.used += taken;
        match self.connection.process_new_packets() {
            Ok(_) => Poll::Ready(Ok(taken)),
            Err(error) => {
                let _ = self.poll_flush(wire); // the alert that tells the peer why
                Poll::Ready(Err(self.fail(wire, cause_of(&error))))
            }
        }
    }

    fn fail(&self, wire: &Wire, cause: String) -> io::Error {
        let cause = if self.is_open { cause } else { format!("the TLS handshake failed: {cause}") };
        let _ = wire.readiness.failure.set(cause.clone());
        io::Error::other(cause)
    }
}

/// Writes to the socket for rustls.
struct Sender<'a>(&'a Wire);

impl Write for Sender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0.send(slices) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the cause of a failure, in the words of OpenSSL where grpcio prints them.
fn cause_of(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "certificate has expired".to_owned()
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "unable to get local issuer certificate".to_owned()
        }
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, .. }) => {
            format!("the certificate does not name {}", expected.to_str())
        }
        Error::InvalidMessage(_) => "the peer does not speak TLS".to_owned(),
        error => error.to_string(),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(name: &str, pem: &[u8]) -> PyResult<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(invalid(name, "it has no certificate")),
        Err(error) => Err(invalid(name, error)),
    }
}

fn private_key(pem: &[u8]) -> PyResult<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| invalid("key", error))
}

fn authorities(pem: &[u8]) -> PyResult<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", pem)? {
        roots.add(certificate).map_err(|error| invalid("ca", error))?;
    }
    Ok(Arc::new(roots))
}

fn invalid(name: &str, cause: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("invalid {name}: {cause}; use PEM"))
}

/// The TLS of a server. `ca` is for mutual TLS: clients need a certificate of one of these authorities.
#[pyclass(frozen, module = "samehost_native._engine")]
pub struct ServerTls(Mutex<Arc<ServerConfig>>);

#[pymethods]
impl ServerTls {
    #[new]
    #[pyo3(signature = (certificate, key, ca))]
    fn new(certificate: &[u8], key: &[u8], ca: Option<&[u8]>) -> PyResult<Self> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| invalid("TLS", error))?;
        let builder = match ca {
            None => builder.with_no_client_auth(),
            Some(ca) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(authorities(ca)?, provider())
                    .build()
                    .map_err(|error| invalid("ca", error))?,
            ),
        };
        let mut config = builder
            .with_single_cert(certificates("certificate", certificate)?, private_key(key)?)
            .map_err(|error| invalid("certificate or key", error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Each connection checks the certificates of both ends.
        config.send_tls13_tickets = 0;
        Ok(Self(Mutex::new(Arc::new(config))))
    }

    /// Makes new connections of its servers use the certificate, key and ca of another one.
    fn replace(&self, other: &Self) {
        let config = Arc::clone(&lock(&other.0));
        *lock(&self.0) = config;
    }
}

impl ServerTls {
    /// Returns the TLS of an accepted connection.
    pub fn accept(&self) -> io::Result<Tls> {
        let config = Arc::clone(&lock(&self.0));
        Ok(Tls::new(ServerConnection::new(config).map_err(io::Error::other)?.into()))
    }
}

/// The TLS of a client. The server needs a certificate for `name` of an authority in `ca`.
#[pyclass(frozen, module = "samehost_native._engine")]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

#[pymethods]
impl ClientTls {
    #[new]
    #[pyo3(signature = (ca, certificate, key, name))]
    fn new(ca: &[u8], certificate: Option<&[u8]>, key: Option<&[u8]>, name: String) -> PyResult<Self> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| invalid("TLS", error))?
            .with_root_certificates(authorities(ca)?);
        let mut config = match (certificate, key) {
            (Some(certificate), Some(key)) => builder
                .with_client_auth_cert(certificates("certificate", certificate)?, private_key(key)?)
                .map_err(|error| invalid("certificate or key", error))?,
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(name.clone())
            .map_err(|_| PyValueError::new_err(format!("invalid name {name:?}: use a DNS name or an IP address")))?;
        Ok(Self { config: Arc::new(config), name })
    }
}

impl ClientTls {
    /// Returns the TLS of a new connection.
    pub fn connect(&self) -> io::Result<Tls> {
        let connection =
            ClientConnection::new(Arc::clone(&self.config), self.name.clone()).map_err(io::Error::other)?;
        Ok(Tls::new(connection.into()))
    }
}

/// The names in a certificate: its subject, its common name and its alternative names.
pub type Names = (String, Option<String>, Vec<String>);

/// Returns the names in a certificate, as C-core prints them.
pub fn names(certificate: &CertificateDer<'_>) -> Option<Names> {
    let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
    let common = certificate.subject.0.iter().flat_map(|names| names.0.iter()).find(|name| name.oid == COMMON_NAME);
    let common = common.and_then(|name| match name.value.tag() {
        x509_cert::der::Tag::Utf8String | x509_cert::der::Tag::PrintableString | x509_cert::der::Tag::Ia5String => {
            String::from_utf8(name.value.value().to_vec()).ok()
        }
        _ => None,
    });
    let alternatives = match certificate.get::<SubjectAltName>() {
        Ok(Some((_, found))) => found.0.iter().filter_map(alternative).collect(),
        _ => Vec::new(),
    };
    Some((certificate.subject.to_string(), common, alternatives))
}

fn alternative(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) | GeneralName::Rfc822Name(name) | GeneralName::UniformResourceIdentifier(name) => {
            Some(name.to_string())
        }
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let address = match bytes.len() {
                4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
                16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
                _ => return None,
            };
            Some(address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::pin::Pin;
    use std::sync::atomic::Ordering;
    use std::task::{Context, Waker};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;
    use crate::io::{Io, Readiness};

    // Valid until the year 3000, made with trustme.
    const CA: &[u8] = include_bytes!("../tests/certificates/ca.pem");
    const CERTIFICATE: &[u8] = include_bytes!("../tests/certificates/localhost.pem");
    const KEY: &[u8] = include_bytes!("../tests/certificates/localhost.key");

    struct End {
        io: Io,
        readiness: Arc<Readiness>,
    }

    impl End {
        fn new(socket: UnixStream, tls: Tls) -> Self {
            let readiness = Arc::new(Readiness::default());
            Self { io: Io::new(Arc::new(socket), Arc::clone(&readiness), Some(tls)).unwrap(), readiness }
        }

        /// Does what the reactor does when the socket is ready.
        fn ready(&self) {
            self.readiness.readable.store(true, Ordering::SeqCst);
            self.readiness.blocked.store(false, Ordering::SeqCst);
        }

        fn flush(&mut self) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_flush(&mut Context::from_waker(Waker::noop()))
        }

        fn write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.io).poll_write(&mut Context::from_waker(Waker::noop()), bytes)
        }

        fn read(&mut self, most: usize) -> Poll<io::Result<Vec<u8>>> {
            let mut space = vec![0; most];
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer))?;
            Poll::Ready(Ok(buffer.filled().to_vec()))
        }
    }

    fn client_tls() -> ClientTls {
        ClientTls::new(CA, Some(CERTIFICATE), Some(KEY), "localhost".to_owned()).unwrap()
    }

    fn ends(client: &ClientTls) -> (End, End) {
        let server = ServerTls::new(CERTIFICATE, KEY, Some(CA)).unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        (End::new(one, client.connect().unwrap()), End::new(other, server.accept().unwrap()))
    }

    /// Does the handshake, and returns the first error.
    fn shake_hands(client: &mut End, server: &mut End) -> Option<String> {
        for _ in 0..10 {
            for end in [&mut *client, &mut *server] {
                end.ready();
                if let Poll::Ready(Err(error)) = end.flush() {
                    return Some(error.to_string());
                }
            }
        }
        None
    }

    #[test]
    fn bytes_that_were_read_before_are_returned_while_the_socket_is_empty() {
        let (mut client, mut server) = ends(&client_tls());
        assert_eq!(shake_hands(&mut client, &mut server), None);
        let sent = vec![7; 100 * 1024];
        assert!(matches!(client.write(&sent), Poll::Ready(Ok(written)) if written == sent.len()));
        assert!(client.flush().is_ready());
        server.ready();
        let mut received = Vec::new();
        while let Poll::Ready(Ok(bytes)) = server.read(1000) {
            received.extend(bytes);
            assert!(!server.readiness.readable.load(Ordering::SeqCst));
        }
        assert_eq!(received, sent);
    }

    #[test]
    fn bytes_that_do_not_fit_into_the_socket_are_sent_later() {
        let (mut client, mut server) = ends(&client_tls());
        assert_eq!(shake_hands(&mut client, &mut server), None);
        let sent: Vec<u8> = (0..4 * 1024 * 1024).map(|index: u32| index as u8).collect();
        let (mut written, mut received) = (0, Vec::new());
        while received.len() < sent.len() {
            client.ready();
            while written < sent.len() {
                let Poll::Ready(more) = client.write(&sent[written..]) else { break };
                written += more.unwrap();
            }
            let _ = client.flush();
            server.ready();
            while let Poll::Ready(bytes) = server.read(64 * 1024) {
                received.extend(bytes.unwrap());
            }
        }
        assert!(received == sent);
    }

    #[test]
    fn a_closed_end_ends_the_other() {
        let (mut client, mut server) = ends(&client_tls());
        assert_eq!(shake_hands(&mut client, &mut server), None);
        drop(client);
        server.ready();
        assert!(matches!(server.read(10), Poll::Ready(Ok(bytes)) if bytes.is_empty()));
    }

    #[test]
    fn a_client_without_http2_is_refused() {
        let mut tls = client_tls();
        Arc::make_mut(&mut tls.config).alpn_protocols.clear();
        let (mut client, mut server) = ends(&tls);
        let failure = shake_hands(&mut client, &mut server);
        assert_eq!(failure.as_deref(), Some("the TLS handshake failed: the peer did not choose HTTP/2 (ALPN)"));
    }

    #[test]
    fn a_certificate_without_the_name_is_refused() {
        let tls = ClientTls::new(CA, None, None, "other.example".to_owned()).unwrap();
        let (mut client, mut server) = ends(&tls);
        let failure = shake_hands(&mut client, &mut server);
        let expected = "the TLS handshake failed: the certificate does not name other.example";
        assert_eq!(failure.as_deref(), Some(expected));
        assert_eq!(client.readiness.failure.get().map(String::as_str), Some(expected));
    }

    #[test]
    fn a_client_without_tls_is_refused() {
        let (client, server) = UnixStream::pair().unwrap();
        let tls = ServerTls::new(CERTIFICATE, KEY, None).unwrap();
        let mut server = End::new(server, tls.accept().unwrap());
        (&client).write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        server.ready();
        let Poll::Ready(Err(error)) = server.flush() else { panic!("the server accepts the client") };
        assert_eq!(error.to_string(), "the TLS handshake failed: the peer does not speak TLS");
    }

    #[test]
    fn the_names_of_a_certificate_are_those_of_grpcio() {
        let (mut client, mut server) = ends(&client_tls());
        assert_eq!(shake_hands(&mut client, &mut server), None);
        let certificate = &server.readiness.peer.get().unwrap()[0];
        let (subject, common_name, alternative_names) = names(certificate).unwrap();
        assert_eq!(subject, "CN=Ada,OU=tests,O=samehost");
        assert_eq!(common_name.as_deref(), Some("Ada"));
        assert_eq!(alternative_names, ["localhost", "10.0.0.1", "ada@localhost"]);
    }
}
