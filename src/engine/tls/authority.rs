//! A certificate authority with P-256 keys: made in a millisecond, where RSA takes seconds.

use std::time::{Duration, SystemTime};

use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use x509_cert::TbsCertificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder as _, CertificateBuilder};
use x509_cert::certificate::Certificate;
use x509_cert::der::asn1::{Ia5String, OctetString};
use x509_cert::der::flagset::FlagSet;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{DateTime, DecodePem as _, EncodePem as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension as _};
use x509_cert::name::Name as Subject;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};

use super::names::Name;

/// A private key.
pub(super) type Key = p256::ecdsa::SigningKey;

/// Clocks differ a little between machines.
const SKEW: Duration = Duration::from_secs(3600);
/// Extended key usages (RFC 5280, section 4.2.1.12).
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// Makes a key; gives it as PEM (PKCS#8) too.
pub(super) fn generate_key() -> Result<(Key, String), String> {
    let key = p256::SecretKey::try_generate().map_err(|error| error.to_string())?;
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| error.to_string())?.to_string();
    Ok((key.into(), pem))
}

/// Reads a P-256 key from PEM, PKCS#8 or SEC 1; none: it is something else.
pub(super) fn parse_key(pem: &str) -> Option<Key> {
    p256::SecretKey::from_pkcs8_pem(pem).or_else(|_| p256::SecretKey::from_sec1_pem(pem)).ok().map(Key::from)
}

/// When the first certificate in a PEM file ends to be valid; none: there is none in it.
pub fn certificate_end(pem: &[u8]) -> Option<SystemTime> {
    let chain = Certificate::load_pem_chain(pem).ok()?;
    Some(chain.first()?.tbs_certificate().validity().not_after.to_system_time())
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Usage<'n> {
    /// A server under these names.
    Server(&'n [Name]),
    /// A client.
    Client,
}

/// A CA.
pub(super) struct Authority {
    key: Key,
    subject: Subject,
    end: SystemTime,
    pem: Vec<u8>,
}

impl Authority {
    /// A new certificate for the CA's key.
    pub(super) fn new(key: &Key, now: SystemTime, validity: Duration) -> Result<Self, String> {
        let subject: Subject = "CN=dindcheck CA".parse().map_err(text)?;
        let profile = Shape { subject: subject.clone(), issuer: subject.clone(), usage: None };
        let certificate = sign(profile, key, key, now - SKEW, now + validity)?;
        let pem = certificate.to_pem(LineEnding::LF).map_err(text)?.into_bytes();
        Ok(Self { key: key.clone(), subject, end: now + validity, pem })
    }

    /// The CA as it was made before; none: it ends before `needed_until`, or belongs to another key.
    pub(super) fn load(key: &Key, pem: &[u8], needed_until: SystemTime) -> Option<Self> {
        let certificate = Certificate::from_pem(pem).ok()?;
        let tbs = certificate.tbs_certificate();
        let end = tbs.validity().not_after.to_system_time();
        let ours = SubjectPublicKeyInfo::from_key(key.verifying_key()).ok()?;
        (end > needed_until && *tbs.subject_public_key_info() == ours).then(|| Self {
            key: key.clone(),
            subject: tbs.subject().clone(),
            end,
            pem: pem.to_vec(),
        })
    }

    /// The CA's certificate.
    pub(super) fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// A certificate for somebody's key, which ends with the CA at the latest.
    pub(super) fn issue(
        &self,
        key: &Key,
        usage: Usage<'_>,
        now: SystemTime,
        validity: Duration,
    ) -> Result<Vec<u8>, String> {
        let name = match usage {
            Usage::Server(_) => "CN=dindcheck server",
            Usage::Client => "CN=dindcheck client",
        };
        let profile = Shape { subject: name.parse().map_err(text)?, issuer: self.subject.clone(), usage: Some(usage) };
        let certificate = sign(profile, key, &self.key, now - SKEW, self.end.min(now + validity))?;
        Ok(certificate.to_pem(LineEnding::LF).map_err(text)?.into_bytes())
    }
}

fn sign(shape: Shape<'_>, key: &Key, signer: &Key, start: SystemTime, end: SystemTime) -> Result<Certificate, String> {
    let time = |time| DateTime::from_system_time(time).map(Time::from).map_err(text);
    let validity = Validity::new(time(start)?, time(end)?);
    let public = SubjectPublicKeyInfo::from_key(key.verifying_key()).map_err(text)?;
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(text)?;
    // A serial number is positive and has no leading zero byte (RFC 5280, section 4.1.2.2).
    serial[0] = (serial[0] & 0x7f) | 0x40;
    let serial = SerialNumber::new(&serial).map_err(text)?;
    CertificateBuilder::new(shape, serial, validity, public)
        .and_then(|builder| builder.build::<_, p256::ecdsa::DerSignature>(signer))
        .map_err(text)
}

/// The extensions of our certificates; no usage: the CA itself.
struct Shape<'n> {
    subject: Subject,
    issuer: Subject,
    usage: Option<Usage<'n>>,
}

impl BuilderProfile for Shape<'_> {
    fn get_issuer(&self, _subject: &Subject) -> Subject {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Subject {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer_key: SubjectPublicKeyInfoRef<'_>,
        _tbs: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        let mut all: Vec<Extension> = Vec::new();
        let key_usage: FlagSet<KeyUsages> = match self.usage {
            None => KeyUsages::DigitalSignature | KeyUsages::KeyCertSign,
            Some(_) => KeyUsages::DigitalSignature.into(),
        };
        all.push(
            BasicConstraints { ca: self.usage.is_none(), path_len_constraint: None }
                .to_extension(&self.subject, &all)?,
        );
        all.push(KeyUsage(key_usage).to_extension(&self.subject, &all)?);
        all.push(SubjectKeyIdentifier::try_from(key)?.to_extension(&self.subject, &all)?);
        all.push(AuthorityKeyIdentifier::try_from(issuer_key)?.to_extension(&self.subject, &all)?);
        match self.usage {
            None => {}
            Some(Usage::Client) => all.push(ExtendedKeyUsage(vec![CLIENT_AUTH]).to_extension(&self.subject, &all)?),
            Some(Usage::Server(names)) => {
                all.push(ExtendedKeyUsage(vec![SERVER_AUTH]).to_extension(&self.subject, &all)?);
                let names = names.iter().map(general_name).collect::<Result<_, _>>()?;
                all.push(SubjectAltName(names).to_extension(&self.subject, &all)?);
            }
        }
        Ok(all)
    }
}

fn general_name(name: &Name) -> Result<GeneralName, x509_cert::der::Error> {
    Ok(match name {
        Name::Dns(name) => GeneralName::DnsName(Ia5String::new(name)?),
        Name::Ip(address) => GeneralName::IpAddress(match address {
            std::net::IpAddr::V4(address) => OctetString::new(address.octets().to_vec())?,
            std::net::IpAddr::V6(address) => OctetString::new(address.octets().to_vec())?,
        }),
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
