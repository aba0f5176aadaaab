//! What volumes hold before a start, and what comes of it (`tests/dropin/volumes.yaml`).
//!
//! Both sides are really run, on a copy each: ours, and openssl with what the official entrypoint has it do (_tls_generate_certs
//! of docker-library/docker, August 2026). What comes of it is read in the same way from both.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::SystemTime;

use dindcheck::engine::tls::ensure;
use dindcheck::engine::tls::names::{self, Name};
use serde::Deserialize;

use super::Mark;

const TABLE: &str = include_str!("volumes.yaml");
/// The name of the container that is started.
const NAME: &str = "this-container";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// In words.
    volumes: String,
    /// A script that makes it.
    before: String,
    mark: Mark,
    #[serde(default)]
    ours: Option<String>,
    #[serde(default)]
    why: Option<String>,
}

/// What is read from a directory after a start.
#[derive(PartialEq, Eq, Debug)]
enum Outcome {
    /// No daemon starts.
    Refused,
    Serves {
        ca: &'static str,
        server: String,
        client: &'static str,
        /// Whether a client gets in that has its certificate from before.
        client_of_before: Option<bool>,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Serves { ca, server, client, client_of_before } = self else { return f.write_str("refused") };
        write!(f, "serves; CA: {ca}; server: {server}; client: {client}")?;
        match client_of_before {
            None => Ok(()),
            Some(true) => f.write_str("; a client of before gets in"),
            Some(false) => f.write_str("; a client of before does not get in"),
        }
    }
}

fn openssl(directory: &Path, line: &str) -> Output {
    let mut command = Command::new("openssl");
    command.current_dir(directory).args(line.split_whitespace().map(|word| word.replace('~', " ")));
    command.output().expect("these tests need the program openssl")
}

fn made(directory: &Path, line: &str) -> String {
    let output = openssl(directory, line);
    assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a file is there and not empty.
fn has(directory: &Path, file: &str) -> bool {
    directory.join(file).metadata().is_ok_and(|metadata| metadata.len() > 0)
}

/// The official entrypoint's start, but that keys are made by `genkey`: its own take seconds; whether the daemon starts.
fn official(at: &Path) -> bool {
    official_of(NAME, "ecparam -name prime256v1 -genkey -noout", at)
}

fn official_of(name: &str, genkey: &str, at: &Path) -> bool {
    if is_whole(at) && !has(at, "ca/key.pem") {
        return openssl(at, "verify -CAfile server/ca.pem server/cert.pem").status.success() && takes(at);
    }
    let key = |part: &str| {
        fs::create_dir_all(at.join(part)).unwrap();
        if !has(at, &format!("{part}/key.pem")) {
            made(at, &format!("{genkey} -out {part}/key.pem"));
        }
    };
    if has(at, "ca/key.pem") || !has(at, "ca/cert.pem") {
        key("ca");
        let usage = "keyUsage=critical,digitalSignature,keyCertSign";
        made(
            at,
            &format!(
                "req -new -key ca/key.pem -out ca/cert.pem -subj /CN=docker:dind~CA -x509 -days 825 -addext {usage}"
            ),
        );
    }
    if has(at, "ca/key.pem") {
        let (server, client) = (format!("serverAuth\nsubjectAltName = DNS:{name}"), "clientAuth".to_owned());
        for (part, usage) in [("server", server), ("client", client)] {
            key(part);
            if part == "client" {
                use std::os::unix::fs::PermissionsExt as _;
                fs::set_permissions(at.join("client/key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
            }
            let text = format!("[ x509_exts ]\nextendedKeyUsage = {usage}\n");
            fs::write(at.join(part).join("openssl.cnf"), text).unwrap();
            made(at, &format!("req -new -key {part}/key.pem -out {part}/csr.pem -subj /CN=docker:dind~{part}"));
            made(
                at,
                &format!(
                    "x509 -req -in {part}/csr.pem -CA ca/cert.pem -CAkey ca/key.pem -CAcreateserial -out {part}/cert.pem \
                     -days 825 -extfile {part}/openssl.cnf -extensions x509_exts"
                ),
            );
            fs::copy(at.join("ca/cert.pem"), at.join(part).join("ca.pem")).unwrap();
        }
    }
    is_whole(at) && takes(at)
}

/// Whether the daemon finds what it is told of.
fn is_whole(at: &Path) -> bool {
    ["server/ca.pem", "server/cert.pem", "server/key.pem"].iter().all(|file| has(at, file))
}

/// Whether the daemon takes the key for its certificate's (crypto/tls: X509KeyPair).
fn takes(at: &Path) -> bool {
    public(at, "server/key.pem") == Some(made(at, "x509 -in server/cert.pem -noout -pubkey"))
}

fn ours(at: &Path) -> bool {
    let names: Vec<Name> = names::parse(&format!("DNS:{NAME}")).unwrap();
    ensure(at, &names, SystemTime::now()).is_ok()
}

fn public(at: &Path, key: &str) -> Option<String> {
    has(at, key).then(|| made(at, &format!("pkey -in {key} -pubout")))
}

/// What became of a key.
fn fate(before: &Path, after: &Path, key: &str) -> &'static str {
    match (public(before, key), public(after, key)) {
        (_, None) => "none",
        (None, Some(_)) => "new",
        (Some(old), Some(new)) if old == new => "its key stays",
        _ => "another key",
    }
}

fn outcome(before: &Path, start: fn(&Path) -> bool) -> Outcome {
    let copy = tempfile::tempdir().unwrap();
    let at = copy.path();
    assert!(Command::new("cp").arg("-a").arg(before.join(".")).arg(at).status().unwrap().success());
    if !start(at) {
        return Outcome::Refused;
    }
    let shown = made(at, "x509 -in server/cert.pem -noout -ext subjectAltName");
    let is_new = shown.contains(NAME);
    if is_new {
        for (part, purpose) in [("server", "sslserver"), ("client", "sslclient")] {
            made(at, &format!("verify -purpose {purpose} -CAfile {part}/ca.pem {part}/cert.pem"));
            let own = made(at, &format!("x509 -in {part}/cert.pem -noout -pubkey"));
            assert_eq!(public(at, &format!("{part}/key.pem")), Some(own), "{part}");
        }
        use std::os::unix::fs::PermissionsExt as _;
        let mode = at.join("client/key.pem").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }
    let client_of_before = has(before, "client/cert.pem").then(|| {
        let certificate = before.join("client/cert.pem");
        let line = format!("verify -purpose sslclient -CAfile server/ca.pem {}", certificate.display());
        openssl(at, &line).status.success()
    });
    let [ca, client, server] = ["ca", "client", "server"].map(|part| fate(before, at, &format!("{part}/key.pem")));
    let server = if is_new { format!("{server}, the names of this start") } else { "as it was".to_owned() };
    Outcome::Serves { ca, server, client, client_of_before }
}

/// A row, with what comes of it there and here.
struct Told {
    volumes: String,
    mark: Mark,
    why: Option<String>,
    wanted: Option<String>,
    there: Outcome,
    here: Outcome,
}

fn told() -> &'static [Told] {
    static TOLD: OnceLock<Vec<Told>> = OnceLock::new();
    TOLD.get_or_init(tell)
}

fn tell() -> Vec<Told> {
    let dind = tempfile::tempdir().unwrap();
    assert!(official_of("first-container", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", dind.path()));
    let rows: Vec<Row> = serde_yaml::from_str(TABLE).expect("the table is sound");
    let tell = |row: Row| {
        let directory = tempfile::tempdir().unwrap();
        let mut script = Command::new("sh");
        script.current_dir(directory.path()).args(["-ec", &row.before]).env("DIND", dind.path());
        let output = script.output().unwrap();
        assert!(output.status.success(), "{}: {}", row.volumes, String::from_utf8_lossy(&output.stderr));
        let (there, here) = (outcome(directory.path(), official), outcome(directory.path(), ours));
        Told { volumes: row.volumes, mark: row.mark, why: row.why, wanted: row.ours, there, here }
    };
    rows.into_iter().map(tell).collect()
}

#[test]
fn what_comes_of_what_volumes_hold_is_what_the_table_says() {
    let mut wrong = Vec::new();
    for Told { volumes, mark, why, wanted, there, here } in told() {
        let is_told = match mark {
            Mark::Same => there == here && wanted.is_none() && why.is_none(),
            Mark::Better | Mark::Different => {
                there != here && wanted.as_deref() == Some(here.to_string().as_str()) && why.is_some()
            }
        };
        if !is_told {
            wrong.push(format!("{volumes}\n  there: {there}\n  here:  {here}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// For the page.
pub(super) fn table() -> String {
    let mut text = String::from("\n| volumes | docker:dind | dindcheck | why |\n| --- | --- | --- | --- |\n");
    for Told { volumes, mark, why, there, here, .. } in told() {
        let (here, why) = (mark.cell(&here.to_string()), why.as_deref().unwrap_or_default());
        text += &format!("| {volumes} | {there} | {here} | {why} |\n");
    }
    text
}
