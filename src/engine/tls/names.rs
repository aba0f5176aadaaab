//! The names under which clients reach the daemon.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

/// What GitLab and others call the service.
const SERVICE: &str = "docker";

/// One name in a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A host name.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A URI.
    Uri(String),
    /// An address of electronic mail.
    Email(String),
    /// An object identifier.
    Registered(String),
    /// A text of a kind that an object identifier names.
    Other(String, String),
}

impl Name {
    /// The name as a client dials it; `None` if it is none that can be dialled.
    pub fn of_host(&self) -> Option<String> {
        match self {
            Self::Dns(name) => Some(name.clone()).filter(|name| !name.contains('*')),
            Self::Ip(address) => Some(address.to_string()),
            Self::Uri(_) | Self::Email(_) | Self::Registered(_) | Self::Other(..) => None,
        }
    }
}

/// All names: every address of this machine, its host names, `docker`, `localhost`, and what DOCKER_TLS_SAN adds.
///
/// # Errors
/// An entry of DOCKER_TLS_SAN that is none.
pub fn all(extra: &str) -> Result<Vec<Name>, String> {
    let mut names: BTreeSet<Name> = [SERVICE, "localhost"].iter().map(|name| Name::Dns((*name).to_owned())).collect();
    names.extend(host_names().into_iter().map(Name::Dns));
    names.extend(addresses().into_iter().map(Name::Ip));
    names.extend(parse(extra)?);
    Ok(names.into_iter().collect())
}

/// Reads openssl's form (x509v3_config(5), Subject Alternative Name), `DNS:name,IP:address,URI:…,email:…,RID:…,
/// otherName:OID;UTF8:…`, separated by commas or blanks, as the official entrypoint takes it. What openssl reads from
/// elsewhere (`dirName`, `email:copy`) cannot be said there either.
///
/// # Errors
/// The first entry that is neither, with what is wrong about it.
pub fn parse(list: &str) -> Result<Vec<Name>, String> {
    list.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|entry| !entry.is_empty())
        .map(|entry| match entry.split_once(':') {
            Some(("DNS", name)) if is_text(name) => Ok(Name::Dns(name.to_owned())),
            Some(("URI", uri)) if is_text(uri) => Ok(Name::Uri(uri.to_owned())),
            Some(("email", address)) if is_text(address) && address != "copy" => Ok(Name::Email(address.to_owned())),
            Some(("RID", oid)) if is_oid(oid) => Ok(Name::Registered(oid.to_owned())),
            Some(("otherName", other)) => {
                let parts = other.split_once(";UTF8:").filter(|(oid, _)| is_oid(oid));
                let (oid, text) = parts.ok_or_else(|| unknown(entry))?;
                Ok(Name::Other(oid.to_owned(), text.to_owned()))
            }
            Some(("IP", address)) => {
                address.parse().map(Name::Ip).map_err(|error| format!("DOCKER_TLS_SAN: `{entry}`: {error}"))
            }
            _ => Err(unknown(entry)),
        })
        .collect()
}

fn unknown(entry: &str) -> String {
    format!(
        "DOCKER_TLS_SAN: `{entry}` is none of DNS:NAME, IP:ADDRESS, URI:URI, email:ADDRESS, RID:OID, otherName:OID;UTF8:TEXT"
    )
}

/// What an IA5String can hold.
fn is_text(name: &str) -> bool {
    !name.is_empty() && name.is_ascii()
}

fn is_oid(text: &str) -> bool {
    text.parse::<x509_cert::der::oid::ObjectIdentifier>().is_ok()
}

fn is_host_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.*".contains(c))
}

/// The host name, alone and with the domain that /etc/hosts gives it.
fn host_names() -> Vec<String> {
    let Some(host) = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()) else {
        return Vec::new();
    };
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let mut names = aliases(&hosts, &host);
    names.extend(host.split_once('.').map(|(short, _)| short.to_owned()));
    names.push(host);
    names.retain(|name| is_host_name(name));
    names
}

/// The other names on the lines of a hosts file that have this one.
fn aliases(hosts: &str, host: &str) -> Vec<String> {
    hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().split_whitespace().skip(1).collect::<Vec<_>>())
        .filter(|names| names.contains(&host))
        .flatten()
        .map(str::to_owned)
        .collect()
}

fn addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    interfaces
        .filter_map(|interface| interface.address)
        .filter_map(|address| {
            address
                .as_sockaddr_in()
                .map(|v4| IpAddr::V4(v4.ip()))
                .or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_has_letters_digits_and_few_other_characters() {
        for name in ["docker", "a-b.example", "*.example", "host_1", "1"] {
            assert!(is_host_name(name), "{name}");
        }
        for name in ["", "a b", "a:1", "ä", "a/b"] {
            assert!(!is_host_name(name), "{name}");
        }
    }

    #[test]
    fn what_can_be_dialled_is_a_host() {
        let hosts: Vec<_> = parse("DNS:a.example DNS:*.x IP:::1 URI:https://x email:a@b RID:1.2.3.4")
            .unwrap()
            .iter()
            .map(Name::of_host)
            .collect();
        assert_eq!(hosts, [Some("a.example".to_owned()), None, Some("::1".to_owned()), None, None, None]);
    }

    #[test]
    fn openssls_form_is_read() {
        let names = parse("DNS:docker.example,IP:10.0.0.1 DNS:*.x,, IP:::1").unwrap();
        let dns = |name: &str| Name::Dns(name.to_owned());
        let ip = |address: &str| Name::Ip(address.parse().unwrap());
        assert_eq!(names, [dns("docker.example"), ip("10.0.0.1"), dns("*.x"), ip("::1")]);
        let all = "URI:https://x/y email:a@b RID:1.2.3.4 otherName:1.2.3;UTF8:name";
        let other = Name::Other("1.2.3".to_owned(), "name".to_owned());
        let [uri, email, oid] = ["https://x/y", "a@b", "1.2.3.4"].map(str::to_owned);
        assert_eq!(parse(all).unwrap(), [Name::Uri(uri), Name::Email(email), Name::Registered(oid), other]);
        for wrong in ["docker", "uri:x", "IP:docker", "DNS:", "email:copy", "RID:x", "otherName:x", "dirName:x"] {
            assert!(parse(wrong).unwrap_err().contains(wrong));
        }
    }

    #[test]
    fn the_service_and_this_machine_are_there() {
        let names = all("").unwrap();
        assert!(names.contains(&Name::Dns("docker".to_owned())) && names.contains(&Name::Ip([127, 0, 0, 1].into())));
    }

    #[test]
    fn a_hosts_line_gives_the_domain() {
        assert_eq!(aliases("10.0.0.2 a.b a # c\n127.0.0.1 localhost", "a"), ["a.b", "a"]);
    }
}
