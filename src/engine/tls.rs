//! Certificates for the daemon's TCP socket, in the layout that clients of docker:dind images expect: `ca/`, `server/`
//! and `client/` with `key.pem`, `cert.pem` and `ca.pem` (docker-library/docker, dockerd-entrypoint.sh).
//!
//! The server's and the client's certificates are recreated at each start, since addresses change and time passes;
//! keys stay, ours and others', and so does the CA until its own end comes near. What a user manages is used and
//! never written to.

mod authority;
mod chain;
mod key;
pub mod names;
mod part;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use authority::{Authority, Usage};
use key::Key;
use names::Name;
use part::Part;

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
        /// The system's error.
        error: io::Error,
    },
    /// A file from the user cannot be used.
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
/// A file from the user that cannot be used, or one that cannot be written.
pub fn ensure(directory: &Path, names: &[Name], now: SystemTime) -> Result<Made, TlsError> {
    let [mut ca, server, client] = ["ca", "server", "client"].map(|name| Part::open(directory, name));
    let users_server = ["ca.pem", "cert.pem", "key.pem"].iter().all(|name| server.has(name));
    // As the official entrypoint does it: without the key of the CA it is someone else who manages them.
    if !ca.has("key.pem") && users_server {
        return check(&server, now);
    }
    if !ca.has("key.pem") && ca.has("cert.pem") {
        let reason = "there is a CA without its key, and no server/ca.pem, server/cert.pem and server/key.pem; add \
                      them, or remove it to have a CA made"
            .to_owned();
        return Err(TlsError::Unusable { path: ca.path("cert.pem"), reason });
    }
    let key = match load_key(&ca)? {
        Loaded::Usable(key) => key,
        Loaded::Missing => make_key(&mut ca, 0o600)?,
        Loaded::Other => {
            let reason = "it is no key for P-256 and no RSA key; remove it to have a new CA made".to_owned();
            return Err(TlsError::Unusable { path: ca.path("key.pem"), reason });
        }
    };
    let before = ca.read("cert.pem")?;
    let kept = before.as_deref().and_then(|pem| Authority::load(&key, pem, now, now + RENEWAL));
    let authority = match kept {
        Some(authority) => authority,
        None => {
            let authority = Authority::new(&key, before.as_deref(), now, VALIDITY).map_err(TlsError::Making)?;
            ca.write("cert.pem", authority.pem(), 0o644)?;
            authority
        }
    };
    // The client's key is for all who share the directory, under any user.
    for (mut part, usage, mode) in [(server, Usage::Server(names), 0o600), (client, Usage::Client, 0o644)] {
        let key = match load_key(&part)? {
            Loaded::Usable(key) => key,
            Loaded::Missing | Loaded::Other => make_key(&mut part, mode)?,
        };
        part.set_mode("key.pem", mode);
        let certificate = authority.issue(&key, usage, now, VALIDITY).map_err(TlsError::Making)?;
        part.write("cert.pem", &certificate, 0o644)?;
        part.write("ca.pem", authority.pem(), 0o644)?;
    }
    Ok(Made::Here)
}

/// Looks at certificates that are not ours to renew.
fn check(server: &Part, now: SystemTime) -> Result<Made, TlsError> {
    let read = |name| server.read(name).map(Option::unwrap_or_default);
    let (certificate, authorities) = (read("cert.pem")?, read("ca.pem")?);
    let key = match load_key(server)? {
        Loaded::Usable(key) => Some(key),
        // Of other kinds the daemon knows more.
        Loaded::Missing | Loaded::Other => None,
    };
    let Err(wrong) = chain::check(&certificate, &authorities, key.as_ref(), now) else { return Ok(Made::ByTheUser) };
    let name = match wrong {
        chain::Wrong::Certificate(_) => "cert.pem",
        chain::Wrong::Authority(_) => "ca.pem",
        chain::Wrong::Key(_) => "key.pem",
    };
    Err(TlsError::Unusable { path: server.path(name), reason: wrong.to_string() })
}

enum Loaded {
    Missing,
    Usable(Key),
    /// Of another kind than those that are known here.
    Other,
}

fn load_key(part: &Part) -> Result<Loaded, TlsError> {
    let Some(pem) = part.read("key.pem")? else { return Ok(Loaded::Missing) };
    Ok(Key::parse(&String::from_utf8_lossy(&pem)).map_or(Loaded::Other, Loaded::Usable))
}

fn make_key(part: &mut Part, mode: u32) -> Result<Key, TlsError> {
    let (key, pem) = Key::generate().map_err(TlsError::Making)?;
    part.write("key.pem", pem.as_bytes(), mode)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
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
        assert_ne!(read("server/cert.pem"), first[2], "recreated at each start");
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
        fs::write(directory.path().join("ca/key.pem"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
        let error = ensure(directory.path(), &names(), SystemTime::now()).unwrap_err().to_string();
        assert!(error.contains("it is no key for P-256 and no RSA key"), "{error}");
    }
}
