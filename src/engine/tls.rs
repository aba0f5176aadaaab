//! Certificates for the daemon's TCP socket, in the layout that clients of docker:dind images expect: `ca/`, `server/`
//! and `client/` with `key.pem`, `cert.pem` and `ca.pem` (docker-library/docker, dockerd-entrypoint.sh).
//!
//! The server's and the client's certificates are made anew at each start, since addresses change and time passes;
//! keys stay, and so does the CA until its own end comes near. What a user manages is used and never written to.

mod authority;
pub mod names;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use authority::certificate_end;
use authority::{Authority, Usage};
use names::Name;

/// How long certificates are valid: the longest that clients of Apple's take (FiloSottile/mkcert#174).
const VALIDITY: Duration = Duration::from_secs(825 * 24 * 3600);
/// A CA with less than this left is renewed, with the same key, so that clients that know the old one go on.
const RENEWAL: Duration = Duration::from_secs(90 * 24 * 3600);

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("cannot {verb} {path}: {error}")]
    File {
        /// What could not be done.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file of the user's cannot be used.
    #[error("{path}: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Making a certificate failed.
    #[error("cannot make a certificate: {0}")]
    Making(String),
}

/// What the certificates are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// They were made or renewed here.
    Here,
    /// They are the user's own.
    ByTheUser,
}

/// Makes sure that `directory` has valid certificates for a server under `names`.
///
/// # Errors
/// A file of the user's that cannot be used, or one that cannot be written.
pub fn ensure(directory: &Path, names: &[Name], now: SystemTime) -> Result<Made, TlsError> {
    let (ca_key, ca_certificate) = (directory.join("ca/key.pem"), directory.join("ca/cert.pem"));
    let server = directory.join("server");
    let users_server = ["ca.pem", "cert.pem", "key.pem"].iter().all(|name| has_content(&server.join(name)));
    // As the official entrypoint does it: without the key of the CA it is somebody else who manages them.
    if !has_content(&ca_key) && users_server {
        return check(&server, now);
    }
    if !has_content(&ca_key) && has_content(&ca_certificate) {
        let reason = "there is a CA without its key, and no server/ca.pem, server/cert.pem and server/key.pem; add \
                      them, or remove it to have a CA made"
            .to_owned();
        return Err(TlsError::Unusable { path: ca_certificate, reason });
    }
    let key = match load_key(&ca_key)? {
        // An RSA key, as the official image makes them: what it has signed goes on as long as it lasts.
        Key::Other if users_server => return check(&server, now),
        Key::Other => {
            let reason = "it is no key for P-256; remove it to have a new CA made".to_owned();
            return Err(TlsError::Unusable { path: ca_key, reason });
        }
        Key::Usable(key) => *key,
        Key::Missing => make_key(&ca_key, 0o600)?,
    };
    let kept = fs::read(&ca_certificate).ok().and_then(|pem| Authority::load(&key, &pem, now + RENEWAL));
    let authority = match kept {
        Some(authority) => authority,
        None => {
            let authority = Authority::new(&key, now, VALIDITY).map_err(TlsError::Making)?;
            write(&ca_certificate, authority.pem(), 0o644)?;
            authority
        }
    };
    // The client's key is for whoever shares the directory, under any user.
    for (part, usage, mode) in [("server", Usage::Server(names), 0o600), ("client", Usage::Client, 0o644)] {
        let directory = directory.join(part);
        let path = directory.join("key.pem");
        let key = match load_key(&path)? {
            Key::Usable(key) => *key,
            Key::Missing | Key::Other => make_key(&path, mode)?,
        };
        let certificate = authority.issue(&key, usage, now, VALIDITY).map_err(TlsError::Making)?;
        write(&directory.join("cert.pem"), &certificate, 0o644)?;
        write(&directory.join("ca.pem"), authority.pem(), 0o644)?;
    }
    Ok(Made::Here)
}

/// Looks at certificates that are not ours to renew.
fn check(server: &Path, now: SystemTime) -> Result<Made, TlsError> {
    for name in ["cert.pem", "ca.pem"] {
        let path = server.join(name);
        let pem = fs::read(&path).map_err(|error| TlsError::File { verb: "read", path: path.clone(), error })?;
        let reason = match certificate_end(&pem) {
            None => "it holds no certificate".to_owned(),
            Some(end) if end <= now => "it has expired, and its CA's key is not here to renew it".to_owned(),
            Some(_) => continue,
        };
        return Err(TlsError::Unusable { path, reason });
    }
    Ok(Made::ByTheUser)
}

enum Key {
    Missing,
    /// Boxed, since it is so much larger than nothing.
    Usable(Box<authority::Key>),
    /// Of another kind than ours.
    Other,
}

fn load_key(path: &Path) -> Result<Key, TlsError> {
    if !has_content(path) {
        return Ok(Key::Missing);
    }
    let pem =
        fs::read_to_string(path).map_err(|error| TlsError::File { verb: "read", path: path.to_owned(), error })?;
    Ok(authority::parse_key(&pem).map_or(Key::Other, |key| Key::Usable(Box::new(key))))
}

fn make_key(path: &Path, mode: u32) -> Result<authority::Key, TlsError> {
    let (key, pem) = authority::generate_key().map_err(TlsError::Making)?;
    write(path, pem.as_bytes(), mode)?;
    Ok(key)
}

/// Writes beside and renames, so that a client that reads meanwhile sees the old or the new file whole.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsError> {
    let failed = |verb| move |error| TlsError::File { verb, path: path.to_owned(), error };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed("make the directory of"))?;
    }
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).map_err(failed("write"))?;
    file.write_all(content).map_err(failed("write"))?;
    fs::rename(&beside, path).map_err(failed("write"))
}

fn has_content(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn names() -> Vec<Name> {
        vec![Name::Dns("docker".to_owned()), Name::Ip([127, 0, 0, 1].into())]
    }

    fn days(count: u64) -> Duration {
        Duration::from_secs(count * 24 * 3600)
    }

    #[test]
    fn the_layout_and_modes_are_those_that_clients_expect() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(ensure(directory.path(), &names(), SystemTime::now()).unwrap(), Made::Here);
        for (file, mode) in [
            ("ca/key.pem", 0o600),
            ("ca/cert.pem", 0o644),
            ("server/key.pem", 0o600),
            ("server/cert.pem", 0o644),
            ("server/ca.pem", 0o644),
            ("client/key.pem", 0o644),
            ("client/cert.pem", 0o644),
            ("client/ca.pem", 0o644),
        ] {
            let found = directory.path().join(file).metadata().unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{file}");
        }
    }

    #[test]
    fn the_ca_stays_until_its_end_comes_near_and_its_key_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let read = |file: &str| fs::read(directory.path().join(file)).unwrap();
        let now = SystemTime::now();
        ensure(directory.path(), &names(), now).unwrap();
        let first: Vec<_> = ["ca/cert.pem", "ca/key.pem", "server/cert.pem", "client/key.pem"].map(read).into();
        ensure(directory.path(), &names(), now + days(700)).unwrap();
        assert_eq!(read("ca/cert.pem"), first[0]);
        assert_ne!(read("server/cert.pem"), first[2], "made anew at each start");
        ensure(directory.path(), &names(), now + days(740)).unwrap();
        assert_ne!(read("ca/cert.pem"), first[0]);
        assert_eq!((read("ca/key.pem"), read("client/key.pem")), (first[1].clone(), first[3].clone()));
    }

    #[test]
    fn certificates_of_the_users_are_used_and_never_written() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        ensure(directory.path(), &names(), now).unwrap();
        fs::remove_dir_all(directory.path().join("ca")).unwrap();
        let before = fs::read(directory.path().join("server/cert.pem")).unwrap();
        assert_eq!(ensure(directory.path(), &names(), now).unwrap(), Made::ByTheUser);
        assert_eq!(fs::read(directory.path().join("server/cert.pem")).unwrap(), before);
        let error = ensure(directory.path(), &names(), now + days(900)).unwrap_err().to_string();
        assert!(error.contains("server/cert.pem: it has expired"), "{error}");
        fs::remove_file(directory.path().join("server/key.pem")).unwrap();
        fs::create_dir(directory.path().join("ca")).unwrap();
        fs::write(directory.path().join("ca/cert.pem"), "x").unwrap();
        let error = ensure(directory.path(), &names(), now).unwrap_err().to_string();
        assert!(error.contains("there is a CA without its key"), "{error}");
    }

    #[test]
    fn a_key_of_another_kind_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("ca")).unwrap();
        fs::write(directory.path().join("ca/key.pem"), "-----BEGIN RSA PRIVATE KEY-----\n").unwrap();
        let error = ensure(directory.path(), &names(), SystemTime::now()).unwrap_err().to_string();
        assert!(error.contains("it is no key for P-256"), "{error}");
    }
}
