//! The way in for clients of the network: a connection to each TCP address, with TLS by the certificates that they have and by
//! each name that they may use.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::nest::Nest;
use super::scenario::Refused;
use crate::engine::remote::{Credentials, Knock};
use crate::finding::{Evidence, Outcome, Severity, Verdict};

/// How long one connection may take, to the daemon's answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A TCP address of the API, and how clients come in there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayIn {
    /// The address, as the daemon was told it.
    pub address: String,
    /// Where it is knocked at, and how a closed door knows us.
    pub knock: Knock,
    /// The names that the certificate is for; without TLS one that is of no account.
    pub names: Vec<String>,
    /// With TLS: the clients' certificates.
    pub credentials: Option<Credentials>,
}

/// Connects by each, if there is one.
pub(super) async fn prove(nest: &Nest<'_>, ways: &[WayIn]) {
    if ways.is_empty() {
        return;
    }
    let ways = ways.to_vec();
    let scenario = async {
        let tried = tokio::task::spawn_blocking(move || try_all(&ways)).await;
        let verdict = tried.unwrap_or_else(|error| Verdict::unknown(error.to_string()));
        Ok::<_, Refused>((verdict, ()))
    };
    nest.ledger.prove("api.tcp", scenario).await;
}

fn try_all(ways: &[WayIn]) -> Verdict {
    let mut evidence = Vec::new();
    let mut names = 0;
    for way in ways {
        for name in &way.names {
            names += 1;
            let answer = way.knock.ping(name, way.credentials.as_ref(), Instant::now() + PATIENCE);
            if let Err(reason) = answer {
                let location =
                    if way.credentials.is_some() { format!("{}, as {name}", way.address) } else { way.address.clone() };
                evidence.push(Evidence { location, value: reason, wanted: Some("an answer".to_owned()) });
            }
        }
    }
    if evidence.is_empty() {
        let tls = ways.iter().any(|way| way.credentials.is_some());
        let by = if tls { format!(" with the clients' certificates, by {names} names") } else { String::new() };
        let addresses: Vec<&str> = ways.iter().map(|way| way.address.as_str()).collect();
        return Verdict::pass(format!("{} answers{by}", addresses.join(", ")));
    }
    let summary = format!("clients of the network are not answered: {}", evidence[0].value);
    let verdict = Verdict { outcome: Outcome::Fail, ..Verdict::fail(Severity::Warning, summary) };
    verdict
        .evidence(evidence)
        .remedy("compare the certificates in the clients' directory with the server's: openssl x509 -text")
}
