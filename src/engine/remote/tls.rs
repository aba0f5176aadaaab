//! The client's side of TLS, with reasons that name the file or the name that is wrong.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use super::Credentials;

/// No file of certificates is larger.
const MAX_FILE: u64 = 1 << 20;

/// The beginning of a connection to a host.
pub(super) fn session(credentials: &Credentials, host: &str) -> Result<ClientConnection, String> {
    ClientConnection::new(configuration(credentials)?, server_name(host)?).map_err(|error| error.to_string())
}

/// The name by which a server has to prove itself.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no name of a server"))
}

/// What both sides have to prove.
pub(super) fn configuration(credentials: &Credentials) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let directory = &credentials.directory;
    let builder = if credentials.verify {
        let (path, pem) = read(directory, "ca.pem")?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let added = certificate.map_err(|error| error.to_string()).map(|certificate| roots.add(certificate));
            added
                .and_then(|added| added.map_err(|error| error.to_string()))
                .map_err(|error| format!("{path}: {error}"))?;
        }
        builder.with_root_certificates(roots)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
    };
    let (path, pem) = read(directory, "cert.pem")?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| format!("{path}: {error}"))?;
    let (path, pem) = read(directory, "key.pem")?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| format!("{path}: {error}"))?;
    builder.with_client_auth_cert(chain, key).map(Arc::new).map_err(|error| format!("{path}: {error}"))
}

/// A file of the client's, with its path.
fn read(directory: &Path, name: &str) -> Result<(String, Vec<u8>), String> {
    let path = directory.join(name);
    let shown = path.display().to_string();
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
    match read {
        Ok(0) => Err(format!("{shown} is empty")),
        Ok(_) => Ok((shown, bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!("{shown} is not there")),
        Err(error) => Err(format!("cannot read {shown}: {error}")),
    }
}

/// Why there is no answer, in words that name what to change.
pub(super) fn explain(error: &io::Error, host: &str, credentials: Option<&Credentials>) -> String {
    let directory = credentials.map(|credentials| credentials.directory.display().to_string()).unwrap_or_default();
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return error.to_string();
    };
    match error {
        Error::InvalidMessage(_) => {
            "it speaks no TLS: unset DOCKER_TLS_VERIFY and DOCKER_TLS, or use its other port".to_owned()
        }
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => format!(
            "its certificate is not for {host}, but for {}: use one of these, or start it with DOCKER_TLS_SAN=DNS:{host}",
            presented.iter().map(|name| dialled(name)).collect::<Vec<_>>().join(", ")
        ),
        Error::InvalidCertificate(CertificateError::NotValidForName) => {
            format!("its certificate is not for {host}: start it with DOCKER_TLS_SAN=DNS:{host}")
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            format!(
                "its certificate is of another CA than {directory}/ca.pem: the certificates are another daemon's, or older"
            )
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired: restart it, or set the clock".to_owned()
        }
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "its certificate is not valid yet: set the clock".to_owned()
        }
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError,
        ) => format!("it refuses the client's certificate {directory}/cert.pem"),
        error => format!("TLS: {error}"),
    }
}

/// A name as it is dialled, of the library's `DnsName("docker")` or `IpAddress(127.0.0.1)`.
fn dialled(name: &str) -> &str {
    name.split_once('(').and_then(|(_, name)| name.strip_suffix(')')).unwrap_or(name).trim_matches('"')
}

/// DOCKER_TLS without DOCKER_TLS_VERIFY: any server will do.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::net::{SocketAddr, TcpListener};
    use std::path::PathBuf;
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant, SystemTime};

    use rustls::server::WebPkiClientVerifier;
    use rustls::version::{TLS12, TLS13};
    use rustls::{InvalidMessage, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

    use super::*;
    use crate::configuration::Address;
    use crate::engine::api::Place;
    use crate::engine::remote::{Knock, Remote};
    use crate::engine::tls;
    use crate::engine::tls::names::Name;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// Certificates as a daemon has them that was started at that time.
    fn certificates(now: SystemTime) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let names = [Name::Dns("docker".to_owned()), Name::Ip([127, 0, 0, 1].into())];
        tls::ensure(directory.path(), &names, now).unwrap();
        directory
    }

    fn credentials(directory: &Path, verify: bool) -> Credentials {
        Credentials { directory: directory.join("client"), verify }
    }

    /// Answers so many clients that all is well.
    fn serve(
        certificates: &Path,
        version: &'static SupportedProtocolVersion,
        count: usize,
    ) -> (SocketAddr, JoinHandle<()>) {
        let pem = |name: &str| fs::read(certificates.join("server").join(name)).unwrap();
        let chain = |name: &str| CertificateDer::pem_slice_iter(&pem(name)).map(Result::unwrap).collect::<Vec<_>>();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(chain("ca.pem"));
        let provider = Arc::new(ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(clients.unwrap())
            .with_single_cert(chain("cert.pem"), PrivateKeyDer::from_pem_slice(&pem("key.pem")).unwrap())
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            for _ in 0..count {
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(session, listener.accept().unwrap().0);
                if stream.read(&mut [0; 4096]).is_ok() {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                }
                // The client goes first: what it has sent and is not read would take the answer away.
                let _ = io::copy(&mut stream.sock, &mut io::sink());
            }
        });
        (place, server)
    }

    fn ping(place: SocketAddr, host: &str, credentials: &Credentials) -> Result<(), String> {
        Knock { place, mark: None }.ping(host, Some(credentials), Instant::now() + Duration::from_secs(60))
    }

    #[test]
    fn both_sides_prove_who_they_are_and_why_not_is_told() {
        let now = SystemTime::now();
        let (own, other) = (certificates(now), certificates(now));
        let [ours, theirs] = [&own, &other].map(|directory| directory.path().join("client").display().to_string());
        let own = own.path();
        for version in [&TLS12, &TLS13] {
            let rows = [
                ("docker", credentials(own, true), Ok(())),
                ("127.0.0.1", credentials(own, true), Ok(())),
                ("elsewhere", credentials(own, false), Ok(())),
                (
                    "elsewhere",
                    credentials(own, true),
                    Err("its certificate is not for elsewhere, but for docker, 127.0.0.1: use one of these, or start it \
                         with DOCKER_TLS_SAN=DNS:elsewhere"
                        .to_owned()),
                ),
                (
                    "docker",
                    credentials(other.path(), true),
                    Err(format!(
                        "its certificate is of another CA than {theirs}/ca.pem: the certificates are another daemon's, \
                         or older"
                    )),
                ),
                (
                    "docker",
                    credentials(other.path(), false),
                    Err(format!("it refuses the client's certificate {theirs}/cert.pem")),
                ),
            ];
            let (place, server) = serve(own, version, rows.len());
            for (host, credentials, wanted) in rows {
                assert_eq!(ping(place, host, &credentials), wanted, "{version:?}, {host}, {credentials:?}");
            }
            server.join().unwrap();
        }
        let gone = Credentials { directory: "/nonexistent".into(), verify: false };
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        assert_eq!(ping(nowhere, "docker", &gone), Err("/nonexistent/cert.pem is not there".to_owned()));
        assert_eq!(
            ping(nowhere, "a b", &credentials(own, true)),
            Err("a b is no name of a server".to_owned()),
            "{ours}"
        );
    }

    #[test]
    fn certificates_of_another_time_are_told_from_others() {
        let now = SystemTime::now();
        for (then, wanted) in [
            (now - 900 * DAY, "its certificate has expired: restart it, or set the clock"),
            (now + 900 * DAY, "its certificate is not valid yet: set the clock"),
        ] {
            let certificates = certificates(then);
            let (place, server) = serve(certificates.path(), &TLS13, 1);
            assert_eq!(ping(place, "docker", &credentials(certificates.path(), true)), Err(wanted.to_owned()));
            server.join().unwrap();
        }
    }

    #[test]
    fn a_server_that_speaks_no_tls_is_told_as_such() {
        let certificates = certificates(SystemTime::now());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            let _ = io::copy(&mut stream, &mut io::sink());
        });
        let error = ping(place, "docker", &credentials(certificates.path(), true)).unwrap_err();
        assert_eq!(error, "it speaks no TLS: unset DOCKER_TLS_VERIFY and DOCKER_TLS, or use its other port");
        server.join().unwrap();
    }

    #[test]
    fn reasons_without_words_of_ours_are_told_in_those_of_the_library() {
        let credentials = Credentials { directory: "/certs".into(), verify: true };
        let told =
            |error: Error| explain(&io::Error::new(io::ErrorKind::InvalidData, error), "docker", Some(&credentials));
        assert_eq!(explain(&io::Error::other("on purpose"), "docker", None), "on purpose");
        assert_eq!(told(Error::DecryptError), format!("TLS: {}", Error::DecryptError));
        assert_eq!(
            told(Error::InvalidCertificate(CertificateError::NotValidForName)),
            "its certificate is not for docker: start it with DOCKER_TLS_SAN=DNS:docker"
        );
        assert!(told(Error::InvalidMessage(InvalidMessage::InvalidContentType)).starts_with("it speaks no TLS: "));
        for alert in [
            AlertDescription::BadCertificate,
            AlertDescription::CertificateRequired,
            AlertDescription::CertificateUnknown,
            AlertDescription::CertificateExpired,
            AlertDescription::UnknownCA,
            AlertDescription::DecryptError,
        ] {
            let wanted = "it refuses the client's certificate /certs/cert.pem";
            assert_eq!(told(Error::AlertReceived(alert)), wanted, "{alert:?}");
        }
        let alert = Error::AlertReceived(AlertDescription::InternalError);
        assert_eq!(told(alert.clone()), format!("TLS: {alert}"));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let certificates = certificates(SystemTime::now());
        let credentials = credentials(certificates.path(), true);
        let path = |name: &str| -> (PathBuf, String) {
            let path = credentials.directory.join(name);
            (path.clone(), path.display().to_string())
        };
        let reason = || configuration(&credentials).map(drop).unwrap_err();
        assert!(configuration(&credentials).is_ok());
        let name = Address::Tcp { host: "docker".to_owned(), port: 1 };
        let remote = Remote { address: name, credentials: Some(credentials.clone()) };
        let place = SocketAddr::from(([192, 0, 2, 1], 1));
        match remote.place(place) {
            Ok(Place::Tls { place: at, name, .. }) => assert_eq!((at, name), (place, server_name("docker").unwrap())),
            _ => panic!("no TLS"),
        }
        // A key of another certificate; then what is no key, no certificate, empty, no file, or not there.
        let (key, shown) = path("key.pem");
        let own = fs::read(&key).unwrap();
        fs::copy(certificates.path().join("server/key.pem"), &key).unwrap();
        assert!(reason().starts_with(&format!("{shown}: ")), "{}", reason());
        fs::write(&key, "x").unwrap();
        assert!(reason().starts_with(&format!("{shown}: ")), "{}", reason());
        fs::write(&key, own).unwrap();
        for name in ["cert.pem", "ca.pem"] {
            let (file, shown) = path(name);
            let own = fs::read(&file).unwrap();
            fs::write(&file, "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n").unwrap();
            assert!(reason().starts_with(&format!("{shown}: ")), "{}", reason());
            fs::write(&file, "").unwrap();
            assert_eq!(reason(), format!("{shown} is empty"));
            fs::remove_file(&file).unwrap();
            assert_eq!(reason(), format!("{shown} is not there"));
            fs::create_dir(&file).unwrap();
            assert!(reason().starts_with(&format!("cannot read {shown}: ")), "{}", reason());
            fs::remove_dir(&file).unwrap();
            fs::write(&file, own).unwrap();
        }
        let (file, shown) = path("ca.pem");
        assert_eq!(read(&credentials.directory, "ca.pem"), Ok((shown, fs::read(file).unwrap())));
    }
}
