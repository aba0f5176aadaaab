//! Private keys: P-256, which are made here, and RSA, which docker:dind has made.

use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs1v15;
use sha2::Sha256;
use x509_cert::builder::{Builder as _, CertificateBuilder, profile::BuilderProfile};
use x509_cert::certificate::Certificate;
use x509_cert::spki::SubjectPublicKeyInfo;

/// A private key, with the hash that it signs by.
#[derive(Clone)]
pub(super) enum Key {
    /// P-256: made in a millisecond, where RSA takes seconds.
    P256(Box<p256::ecdsa::SigningKey>),
    /// RSA.
    Rsa(Box<pkcs1v15::SigningKey<Sha256>>),
}

impl Key {
    /// Makes a key; gives it as PEM (PKCS#8) too.
    pub(super) fn generate() -> Result<(Self, String), String> {
        let key = p256::SecretKey::try_generate().map_err(text)?;
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(text)?.to_string();
        Ok((Self::P256(Box::new(key.into())), pem))
    }

    /// Reads a key from PEM: PKCS#8, SEC 1 or PKCS#1; `None` if it is of another kind.
    pub(super) fn parse(pem: &str) -> Option<Self> {
        let p256 = p256::SecretKey::from_pkcs8_pem(pem).or_else(|_| p256::SecretKey::from_sec1_pem(pem));
        if let Ok(key) = p256 {
            return Some(Self::P256(Box::new(key.into())));
        }
        let rsa = rsa::PrivateKey::from_pkcs8_pem(pem).or_else(|_| rsa::PrivateKey::from_pkcs1_pem(pem)).ok()?;
        Some(Self::Rsa(Box::new(pkcs1v15::SigningKey::new(rsa))))
    }

    /// The public key, as certificates have it.
    pub(super) fn public(
        &self,
    ) -> Result<SubjectPublicKeyInfo<x509_cert::der::Any, x509_cert::der::asn1::BitString>, String> {
        use rsa::signature::Keypair as _;
        match self {
            Self::P256(key) => SubjectPublicKeyInfo::from_key(key.verifying_key()),
            Self::Rsa(key) => SubjectPublicKeyInfo::from_key(&key.verifying_key()),
        }
        .map_err(text)
    }

    /// Signs what is being built.
    pub(super) fn sign<P: BuilderProfile>(&self, builder: CertificateBuilder<P>) -> Result<Certificate, String> {
        match self {
            Self::P256(key) => builder.build::<_, p256::ecdsa::DerSignature>(&**key),
            Self::Rsa(key) => builder.build::<_, pkcs1v15::Signature>(&**key),
        }
        .map_err(text)
    }
}

/// Random bytes: a key's own generator is the nearest source of them.
pub(super) fn random() -> Result<[u8; 16], String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(text)?;
    Ok(bytes)
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_its_own_words() {
        assert_eq!(text(std::fmt::Error), std::fmt::Error.to_string());
    }
}
