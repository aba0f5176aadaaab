//! Whether a certificate that others manage is what its clients will take: within its time, of its key, and signed by
//! the CA beside it (RFC 5280, section 6, without what a daemon's own CA never has: policies and name constraints).

use std::time::SystemTime;

use p256::ecdsa::signature::Verifier as _;
use rsa::pkcs1v15;
use sha2::{Sha256, Sha384, Sha512};
use x509_cert::certificate::Certificate;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode as _, Encode as _, Reader as _, SliceReader};
use x509_cert::ext::pkix::BasicConstraints;

use super::key::Key;

/// More than any CA has.
const MAX_DEPTH: usize = 8;
/// Signature algorithms (RFC 5758, RFC 8017).
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    /// The server's file.
    #[error("{0}")]
    Certificate(String),
    /// The file of the CA.
    #[error("{0}")]
    Authority(String),
    /// The key's file.
    #[error("{0}")]
    Key(String),
}

/// Judges the daemon's own certificate (the first of `server`, others are in between), against the CAs in
/// `authorities` and its key.
pub(super) fn check(server: &[u8], authorities: &[u8], key: Option<&Key>, now: SystemTime) -> Result<(), Wrong> {
    let none = || "it holds no certificate".to_owned();
    let server = Certificate::load_pem_chain(server).unwrap_or_default();
    let authorities = Certificate::load_pem_chain(authorities).unwrap_or_default();
    let own = server.first().ok_or_else(|| Wrong::Certificate(none()))?;
    if authorities.is_empty() {
        return Err(Wrong::Authority(none()));
    }
    in_time(own, now).map_err(Wrong::Certificate)?;
    if let Some(public) = key.and_then(|key| key.public().ok())
        && public != *own.tbs_certificate().subject_public_key_info()
    {
        return Err(Wrong::Key("it is not the key of cert.pem".to_owned()));
    }
    let mut last = own;
    for _ in 0..MAX_DEPTH {
        let is_above = |other: &&Certificate| signed_by(last, other);
        if let Some(root) = authorities.iter().find(is_above) {
            return in_time(root, now).map_err(Wrong::Authority);
        }
        let Some(next) = server[1..].iter().find(is_above) else { break };
        in_time(next, now).map_err(Wrong::Certificate)?;
        last = next;
    }
    Err(Wrong::Certificate("no CA in ca.pem has signed it: every client would refuse the daemon".to_owned()))
}

fn in_time(certificate: &Certificate, now: SystemTime) -> Result<(), String> {
    let validity = certificate.tbs_certificate().validity();
    if validity.not_after.to_system_time() <= now {
        return Err("it has expired, and its CA's key is not here to renew it".to_owned());
    }
    if validity.not_before.to_system_time() > now {
        return Err(format!("it is not valid before {}; is this machine's clock right?", validity.not_before));
    }
    Ok(())
}

/// Whether `issuer` has signed it. An algorithm that is not known here is believed: the name and the right to sign are
/// looked at, and the daemon's clients look at the rest.
fn signed_by(certificate: &Certificate, issuer: &Certificate) -> bool {
    let (tbs, above) = (certificate.tbs_certificate(), issuer.tbs_certificate());
    let may_sign = above.get_extension::<BasicConstraints>().ok().flatten().is_some_and(|(_, basic)| basic.ca);
    // A certificate of version 1, as `openssl req -x509` made them once, says nothing about it.
    let says_nothing = above.extensions().is_none_or(|extensions| extensions.is_empty());
    if tbs.issuer() != above.subject() || !(may_sign || says_nothing) {
        return false;
    }
    let Some(signature) = certificate.signature().as_bytes() else { return false };
    let (Ok(whole), Ok(public)) = (certificate.to_der(), above.subject_public_key_info().to_der()) else {
        return false;
    };
    let Some(signed) = signed_part(&whole) else { return false };
    let rsa = || rsa::PublicKey::try_from(x509_cert::spki::SubjectPublicKeyInfoRef::from_der(&public).ok()?).ok();
    let rsa_signature = || pkcs1v15::Signature::try_from(signature).ok();
    match certificate.signature_algorithm().oid {
        ECDSA_SHA256 => {
            use p256::pkcs8::DecodePublicKey as _;
            let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_der(&public) else { return true };
            p256::ecdsa::DerSignature::try_from(signature).is_ok_and(|signature| key.verify(signed, &signature).is_ok())
        }
        RSA_SHA256 => rsa().zip(rsa_signature()).is_some_and(|(key, signature)| {
            pkcs1v15::VerifyingKey::<Sha256>::new(key).verify(signed, &signature).is_ok()
        }),
        RSA_SHA384 => rsa().zip(rsa_signature()).is_some_and(|(key, signature)| {
            pkcs1v15::VerifyingKey::<Sha384>::new(key).verify(signed, &signature).is_ok()
        }),
        RSA_SHA512 => rsa().zip(rsa_signature()).is_some_and(|(key, signature)| {
            pkcs1v15::VerifyingKey::<Sha512>::new(key).verify(signed, &signature).is_ok()
        }),
        _ => true,
    }
}

/// The bytes that the signature is about: the first element of the certificate.
fn signed_part(certificate: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(certificate).ok()?;
    let header = x509_cert::der::Header::decode(&mut reader).ok()?;
    let start = certificate.len().checked_sub(usize::try_from(header.length()).ok()?)?;
    let mut inner = SliceReader::new(&certificate[start..]).ok()?;
    inner.tlv_bytes().ok()
}

#[cfg(test)]
mod tests {
    use x509_cert::der::DecodePem as _;

    use super::*;

    /// By `openssl req -x509 -newkey rsa:1024 -subj /CN=a -days 36500`, with `-sha384` and with `-sha512`.
    const BY_ITSELF: [&str; 2] = [
        "-----BEGIN CERTIFICATE-----\n\
         MIIB9jCCAV+gAwIBAgIUW+A9T+PWYcDloecj87fjxLUz8wgwDQYJKoZIhvcNAQEM\n\
         BQAwDDEKMAgGA1UEAwwBYTAgFw0yNjExMjkyMTAxMDZaGA8yMTI2MTEwNTIxMDEw\n\
         NlowDDEKMAgGA1UEAwwBYTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEA7cWI\n\
         g5Ob9JKEKmF1gYp5OHfQdJVx7/XexPYFmr+NVtCPR1j+rQfbqOY94u8vCopkois0\n\
         lEJCsk+LP/bOvMMRTsx+1L16BXjwRVWw4RRxvsBH3FSdrBEaqn8mG+cDPfmC0L2p\n\
         xPMXZ9v7wDJbEbTDScOoLYTJ1768p/FzVa2dW4MCAwEAAaNTMFEwHQYDVR0OBBYE\n\
         FHevk1ry3Egp3XADoQVdNINlqToKMB8GA1UdIwQYMBaAFHevk1ry3Egp3XADoQVd\n\
         NINlqToKMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQEMBQADgYEA486RCrc6\n\
         VD3Fn5uY3WQT/K8ZLdH4grmrP4LDduCYcx6QI70XqDA8sJi0lK0r7Lw4SPYdtctW\n\
         /95X9C8tcoYnRJVhQvj35mzOjMGqgQeuwNJDd6yVyOIdErM0mO4cl9NUsuhIUGSm\n\
         7RMLy/t6g4WR2NRfS+7FCm842qe8d+gnH30=\n\
         -----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n\
         MIIB9jCCAV+gAwIBAgIUF3W1VnO3yfShgp2fkqTDeZxho0gwDQYJKoZIhvcNAQEN\n\
         BQAwDDEKMAgGA1UEAwwBYTAgFw0yNjExMjkyMTAxMDZaGA8yMTI2MTEwNTIxMDEw\n\
         NlowDDEKMAgGA1UEAwwBYTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAuCJv\n\
         NpZFLpy/iIRXzJi5h6nq4WG8/ibrW7Ip3A6T6iexBBkCRja12m92BuibKmYxwoy7\n\
         my5vKHqjy9bfT54e42wUezMJgAC6gfDWTSrFRCUpplTVLFY48dwjYRYRj2Q+OY3I\n\
         mG+u+rYdyPxshd1fS8SXzJSFHdwGR0H7/nAx7ZkCAwEAAaNTMFEwHQYDVR0OBBYE\n\
         FDSglVLg0m9p+Cg6VtP0ER+TpbaAMB8GA1UdIwQYMBaAFDSglVLg0m9p+Cg6VtP0\n\
         ER+TpbaAMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQENBQADgYEAiCo5Hs+J\n\
         4fOp1iUblWEN9rtA3Trw6FteG9OwFiU+3TifjMFxN6LgVpskeGa8mNSeqzRN8Op1\n\
         fKdhgHl/P5dpwwlj1rFKT6icChEoxFu6JY2mQ6uZTQ5+hmxPanE/smsNgk43LRBx\n\
         iDHK9p7RTRFaT5EBdv7HtB1LcEil4rCf7Ng=\n\
         -----END CERTIFICATE-----",
    ];

    #[test]
    fn an_rsa_signature_is_verified_with_its_hash() {
        for (pem, oid) in BY_ITSELF.into_iter().zip([RSA_SHA384, RSA_SHA512]) {
            let certificate = Certificate::from_pem(pem).unwrap();
            assert_eq!(certificate.signature_algorithm().oid, oid);
            assert!(signed_by(&certificate, &certificate));
            // The last byte is the signature's.
            let mut bytes = certificate.to_der().unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            assert!(!signed_by(&Certificate::from_der(&bytes).unwrap(), &certificate), "{oid}");
        }
    }
}
