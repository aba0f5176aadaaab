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
            presented.join(", ")
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
