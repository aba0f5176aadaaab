//! A privileged inner container: what it is granted here and now.

use super::nest::{NO_NETWORK, Nest};
use super::scenario::{Refused, judge};
use crate::facts::privileges::names;
use crate::finding::{Evidence, Severity, Verdict};
use crate::profile::Grants;

/// Runs one.
pub(super) async fn prove(nest: &Nest<'_>) {
    nest.ledger.prove("privileged", run(nest)).await;
}

async fn run(nest: &Nest<'_>) -> Result<(Verdict, ()), Refused> {
    let mut spec = nest.spec("privileged", &["privileged"]);
    (spec.privileged, spec.network) = (true, Some(NO_NETWORK.to_owned()));
    // Where users are mapped, an engine makes such a container for the host's own users alone.
    spec.host_users = nest.info.remapped_root().is_some();
    let ran = match nest.run(&spec).await {
        Ok((ran, _)) => ran,
        Err(Refused(verdict)) => return Err(explain(nest, *verdict).into()),
    };
    let told = nest.told(&ran, "privileged")?;
    let granted = told.value("CapEff").map(|hex| set(hex).len()).unwrap_or_default();
    let evidence = with_own_filter(told.evidence, own("Seccomp"));
    Ok((judge(format!("{granted} capabilities, and a mount in it"), evidence), ()))
}

/// A privileged container has no system call filter but that of the outer one, which nothing takes off (seccomp(2)).
fn with_own_filter(mut evidence: Vec<Evidence>, own: Option<String>) -> Vec<Evidence> {
    if let Some(one) = evidence.iter_mut().find(|one| one.location == "Seccomp") {
        one.wanted = own;
    }
    evidence
}

/// A privileged container that cannot be made: an engine that asks for capabilities that are not there says only that
/// something is not permitted.
fn explain(nest: &Nest<'_>, verdict: Verdict) -> Verdict {
    let grants = &nest.profile.privileged_grants;
    // Where each set ends is in the schema: CAP_BLOCK_SUSPEND is 36, CAP_AUDIT_READ 37.
    let last = match grants.value {
        Grants::UpToBlockSuspend => 36,
        Grants::UpToAuditRead => 37,
        Grants::Bounding => return verdict,
    };
    let bounding = own_bounding();
    let missing: Vec<String> = names((1_u64 << (last + 1)) - 1).into_iter().filter(|n| !bounding.contains(n)).collect();
    if missing.is_empty() {
        return verdict;
    }
    Verdict::fail(Severity::Warning, format!("this engine cannot make one without {}", missing.join(", ")))
        .evidence(verdict.evidence)
        .saw_wanted("/proc/self/status: CapBnd", format!("without {}", missing.join(", ")), grants.source.clone())
        .because("The engine asks for every capability that it knows, whatever the outer container has.")
        .remedy("start the outer container with --privileged by an engine that has them itself")
        .remedy("or use an inner engine from 23.0 on, which asks for those that it has")
}

fn own_bounding() -> Vec<String> {
    own("CapBnd").map(|hex| set(&hex)).unwrap_or_default()
}

/// A field of our own status, which is the daemon's too.
fn own(field: &str) -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()))
}

fn set(hex: &str) -> Vec<String> {
    u64::from_str_radix(hex, 16).map(|bits| names(bits).into_iter().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Outcome;

    #[test]
    fn a_filter_of_the_outer_container_is_no_fault_of_the_inner_one() {
        for (own, inner, outcome) in [("0", "0", Outcome::Pass), ("2", "2", Outcome::Pass), ("0", "2", Outcome::Fail)] {
            let told = Evidence { location: "Seccomp".to_owned(), value: inner.to_owned(), wanted: None };
            assert_eq!(judge("", with_own_filter(vec![told], Some(own.to_owned()))).outcome, outcome, "{own} {inner}");
        }
    }
}
