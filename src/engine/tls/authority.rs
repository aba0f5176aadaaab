//! A certificate authority.

use std::time::{Duration, SystemTime};

use x509_cert::TbsCertificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, CertificateBuilder};
use x509_cert::certificate::Certificate;
use x509_cert::der::asn1::Ia5String;
use x509_cert::der::flagset::FlagSet;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Any, DateTime, DecodePem as _, EncodePem as _, Tag};
use x509_cert::ext::pkix::name::{GeneralName, OtherName};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension as _};
use x509_cert::name::Name as Subject;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoRef;
use x509_cert::time::{Time, Validity};

use super::key::{Key, random, text};
use super::names::Name;

/// What docker:dind calls a CA of its own. Clients look for an issuer by its name, so that a container can go from one
/// to the other, and back, under the clients of a shared directory.
const NAME: &str = "CN=docker:dind CA";
/// Clocks differ a little between machines.
const SKEW: Duration = Duration::from_secs(3600);
/// Extended key usages (RFC 5280, section 4.2.1.12).
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

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
    /// A new certificate for the CA's key, under the name of the one before it, if there was one of that key.
    pub(super) fn new(key: &Key, before: Option<&[u8]>, now: SystemTime, validity: Duration) -> Result<Self, String> {
        let kept = before.and_then(|pem| of_key(key, pem));
        let subject = match kept {
            Some(certificate) => certificate.tbs_certificate().subject().clone(),
            None => NAME.parse().map_err(text)?,
        };
        let profile = Shape { subject: subject.clone(), issuer: subject.clone(), usage: None };
        let certificate = sign(profile, key, key, now, now + validity)?;
        let pem = certificate.to_pem(LineEnding::LF).map_err(text)?.into_bytes();
        Ok(Self { key: key.clone(), subject, end: now + validity, pem })
    }

    /// The CA as it was made before; `None` if it ends before `needed_until`, or belongs to another key.
    pub(super) fn load(key: &Key, pem: &[u8], now: SystemTime, needed_until: SystemTime) -> Option<Self> {
        let certificate = of_key(key, pem)?;
        let tbs = certificate.tbs_certificate();
        let end = tbs.validity().not_after.to_system_time();
        // One from the future is of a machine whose clock was wrong.
        let has_begun = tbs.validity().not_before.to_system_time() <= now;
        (end > needed_until && has_begun).then(|| Self {
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

    /// A certificate for someone's key, which ends with the CA at the latest.
    pub(super) fn issue(
        &self,
        key: &Key,
        usage: Usage<'_>,
        now: SystemTime,
        validity: Duration,
    ) -> Result<Vec<u8>, String> {
        let name = match usage {
            Usage::Server(_) => "CN=docker:dind server",
            Usage::Client => "CN=docker:dind client",
        };
        let profile = Shape { subject: name.parse().map_err(text)?, issuer: self.subject.clone(), usage: Some(usage) };
        let certificate = sign(profile, key, &self.key, now, self.end.min(now + validity))?;
        Ok(certificate.to_pem(LineEnding::LF).map_err(text)?.into_bytes())
    }
}

/// The certificate, if it is of this key.
fn of_key(key: &Key, pem: &[u8]) -> Option<Certificate> {
    let certificate = Certificate::from_pem(pem).ok()?;
    (key.public().ok()? == *certificate.tbs_certificate().subject_public_key_info()).then_some(certificate)
}

fn sign(shape: Shape<'_>, key: &Key, signer: &Key, now: SystemTime, end: SystemTime) -> Result<Certificate, String> {
    // Clocks differ a little between machines; and there is no time before 1970, where a machine without a clock begins.
    let start = now.checked_sub(SKEW).unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH);
    let time = |time| DateTime::from_system_time(time).map(Time::from).map_err(text);
    let validity = Validity::new(time(start)?, time(end)?);
    let mut serial = random()?;
    // A serial number is positive and has no leading zero byte (RFC 5280, section 4.1.2.2).
    serial[0] = (serial[0] & 0x7f) | 0x40;
    let serial = SerialNumber::new(&serial).map_err(text)?;
    signer.sign(CertificateBuilder::new(shape, serial, validity, key.public()?).map_err(text)?)
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
        Name::Ip(address) => GeneralName::from(*address),
        Name::Uri(uri) => GeneralName::UniformResourceIdentifier(Ia5String::new(uri)?),
        Name::Email(address) => GeneralName::Rfc822Name(Ia5String::new(address)?),
        Name::Registered(oid) => GeneralName::RegisteredId(oid.parse()?),
        Name::Other(oid, text) => GeneralName::OtherName(OtherName {
            type_id: oid.parse()?,
            value: Any::new(Tag::Utf8String, text.as_bytes())?,
        }),
    })
}
