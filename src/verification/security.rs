//! The system call filter and the security module that the daemon says it uses, as a container of its has them.

use std::time::Duration;

use super::nest::Nest;
use super::scenario::{Refused, judge};
use super::work::Work;
use crate::finding::{Evidence, Severity, Verdict};

/// Looks at the work container.
pub(super) fn prove(nest: &Nest<'_>, work: &Work) {
    let (verdict, ms) = match work.told("security") {
        Ok(told) => (verdict(&nest.info.security, told.evidence), told.ms),
        Err(Refused(verdict)) => (*verdict, 0),
    };
    nest.ledger.write("security", verdict, Duration::from_millis(ms));
}

/// The daemon names what it uses as `name=seccomp,profile=builtin`, before API 1.26 as `seccomp`.
fn verdict(uses: &[String], mut evidence: Vec<Evidence>) -> Verdict {
    let named = |module: &str| {
        uses.iter().find(|entry| {
            let name = entry.split(',').next().unwrap_or_default();
            name.strip_prefix("name=").unwrap_or(name) == module
        })
    };
    evidence.push(Evidence { location: "API: info: SecurityOptions".to_owned(), value: uses.join(" "), wanted: None });
    let Some(seccomp) = named("seccomp") else {
        return Verdict::fail(Severity::Warning, "this daemon has no system call filter for its containers")
            .evidence(evidence)
            .because("It was built without seccomp, or the kernel has none.");
    };
    if seccomp.contains("profile=unconfined") {
        return Verdict::fail(
            Severity::Warning,
            "the daemon is told to run its containers without a system call filter",
        )
        .evidence(evidence)
        .remedy("leave out --seccomp-profile unconfined");
    }
    for one in &mut evidence {
        one.wanted = match one.location.as_str() {
            // 2 is a filter (proc_pid_status(5)).
            "Seccomp" => Some("2".to_owned()),
            "security label" if named("apparmor").is_some() => Some("docker-default (enforce)".to_owned()),
            _ => None,
        };
    }
    let module = if named("apparmor").is_some() { ", and AppArmor" } else { "" };
    judge(format!("a system call filter{module}"), evidence)
}
