//! The files of the daemon's TLS, as the daemon reads them before it does anything else (moby v28.5.2
//! cmd/dockerd/daemon.go newAPIServerTLSConfig; go-connections tlsconfig.Server).

use std::env;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::{Fact, Root};

/// The files that the daemon reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFiles {
    /// Its certificate.
    pub certificate: PemFile,
    /// The certificate's key.
    pub key: PemFile,
    /// Who signs the certificates of its clients; `None` if it asks for none, or takes the system's CAs.
    pub ca: Option<PemFile>,
    /// Whether the key is that of the certificate; `None` if unknown.
    pub fit: Option<bool>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PemFile {
    /// Where it is looked for.
    pub path: String,
    /// Whether a flag or daemon.json names it; else it is the default.
    pub is_named: bool,
    /// What the daemon would say of it; `None` if it holds what it should.
    pub problem: Option<String>,
}

/// Looks at the files; `None` if the daemon is told to use no TLS, or certificates that are made at its start.
///
/// # Errors
/// The configuration's.
pub(super) fn read(root: &Root, configuration: &Fact<Configuration>) -> Fact<Option<TlsFiles>> {
    let configuration = configuration.as_ref().map_err(Clone::clone)?;
    let Some(tls) = configuration.tls().filter(|tls| tls.on && !configuration.uses_certificates()) else {
        return Ok(None);
    };
    let files = configuration.tls_files();
    let default = default_directory(root);
    let at = |named: Option<&str>, name: &str| {
        let path = named.map_or_else(|| format!("{default}/{name}"), str::to_owned);
        // As seen from here; the main job starts the daemon in its own directory.
        let absolute = match env::current_dir() {
            Ok(here) if root.is_live() && !path.starts_with('/') => here.join(&path).display().to_string(),
            _ => path.clone(),
        };
        (path, named.is_some(), root.read(&absolute).map_err(|error| error.reason.text()))
    };
    let (certificate, key) = (at(files.certificate, "cert.pem"), at(files.key, "key.pem"));
    // A switch in daemon.json alone leaves the CA's default out; that has no file to be missed.
    let ca = (tls.verify && (files.ca.is_some() || configuration.tls_is_by_flag())).then(|| at(files.ca, "ca.pem"));
    let fit = match (&certificate.2, &key.2) {
        (Ok(certificate), Ok(key)) => fit(certificate, key),
        _ => None,
    };
    Ok(Some(TlsFiles {
        certificate: pem_file(certificate, |pem| first_certificate(pem).is_some(), "it holds no certificate"),
        key: pem_file(key, |pem| private_key(pem).is_some(), "it holds no private key, or one that is encrypted"),
        ca: ca.map(|ca| pem_file(ca, |pem| first_certificate(pem).is_some(), "it holds no certificate")),
        fit,
    }))
}

fn pem_file(
    (path, is_named, text): (String, bool, Result<String, String>),
    holds: fn(&str) -> bool,
    else_: &str,
) -> PemFile {
    let problem = match text {
        Ok(text) => (!holds(&text)).then(|| else_.to_owned()),
        Err(reason) => Some(reason),
    };
    PemFile { path, is_named, problem }
}

/// Where files lie that no one names (moby cmd/dockerd/options.go: dockerCertPath, defaultCertPath). A captured machine
/// has no environment.
fn default_directory(root: &Root) -> String {
    let variable = |name: &str| env::var(name).ok().filter(|value| root.is_live() && !value.is_empty());
    let home = || format!("{}/.docker", variable("HOME").unwrap_or_else(|| "/root".to_owned()));
    variable("DOCKER_CERT_PATH").or_else(|| variable("DOCKER_CONFIG")).unwrap_or_else(home)
}

fn first_certificate(pem: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).find_map(Result::ok)
}

fn private_key(pem: &str) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()
}

/// Whether a key is a certificate's; none where a file holds neither, or a kind that is not known here.
fn fit(certificate: &str, key: &str) -> Option<bool> {
    let key = any_supported_type(&private_key(key)?).ok()?;
    match CertifiedKey::new(vec![first_certificate(certificate)?], key).keys_match() {
        Ok(()) => Some(true),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is read of a daemon with these words: each file's path, whether it is named, and its problem.
    fn read_of(root: &Root, words: &[&str]) -> String {
        let file = |file: &PemFile| {
            let named = if file.is_named { "named" } else { "default" };
            format!("{} ({named}): {}", file.path, file.problem.as_deref().unwrap_or("fine"))
        };
        read(root, &Ok(Configuration::of_words(words))).unwrap().map_or_else(
            || "none".to_owned(),
            |files| {
                let files = [Some(&files.certificate), Some(&files.key), files.ca.as_ref()];
                files.into_iter().flatten().map(file).collect::<Vec<_>>().join("; ")
            },
        )
    }

    #[test]
    fn the_files_that_the_daemon_reads_are_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("root/.docker")).unwrap();
        fs::write(directory.path().join("root/.docker/key.pem"), "no key\n").unwrap();
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(directory.path().join("own.pem"), certificate).unwrap();
        let root = Root::new(directory.path());
        assert_eq!(read_of(&root, &[]), "none");
        assert_eq!(read_of(&root, &["--tls=false"]), "none");
        let missing = "No such file or directory (os error 2)";
        let key = "/root/.docker/key.pem (default): it holds no private key, or one that is encrypted";
        assert_eq!(
            read_of(&root, &["--tlsverify=false"]),
            format!("/root/.docker/cert.pem (default): {missing}; {key}")
        );
        assert_eq!(
            read_of(&root, &["--tlsverify", "--tlscert=/own.pem"]),
            format!("/own.pem (named): fine; {key}; /root/.docker/ca.pem (default): {missing}")
        );
        assert_eq!(
            read_of(&root, &["--tlsverify", "--tlscert=/own.pem", "--tlscacert=/root/.docker/key.pem"]),
            format!("/own.pem (named): fine; {key}; /root/.docker/key.pem (named): it holds no certificate")
        );
    }
}
