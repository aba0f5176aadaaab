//! What is reported of the situations that people are in, as they see it: 80 and 120 columns, without colour.

use std::fmt::Write as _;

use dindcheck::check::around::Around;
use dindcheck::check::{self, Selection};
use dindcheck::diagnosis::{self, Named, Options, Weight};
use dindcheck::exit;
use dindcheck::facts::Facts;
use dindcheck::finding::{Finding, Outcome, Severity};
use dindcheck::fix::Fix;
use dindcheck::fix::apply::{Applied, Result as Mended};
use dindcheck::process::level::Level;
use dindcheck::profile::{Profiles, outers};
use dindcheck::report::table::{self, Layout};
use dindcheck::report::{Failure, Launch, Report, digest};
use dindcheck::verification::scenario::CLAIMS;
use dindcheck::verification::{Scenario, Verification};

use super::causes::unprivileged;
use super::{Limit, facts, nft, pidfile, profile, refuse_fib, with_nft_and_ipv6};

/// What is wrong, and what has to be among the last ten lines: the cause and the remedy.
struct Situation {
    name: &'static str,
    report: Report,
    /// Words of both; none where all is well.
    tells: [&'static str; 2],
}

/// The report of `check` on these facts.
fn checked(facts: &Facts, version: &str) -> Report {
    let profile = profile(version);
    let outers = outers().unwrap();
    let profiles = Profiles::load(None).unwrap();
    let around = Around::new(facts.outer.as_ref().unwrap(), &outers, &profiles).unwrap();
    let found = check::run(facts, &profile, &Selection::default());
    let mut findings: Vec<Finding> = found.into_iter().map(|(finding, _)| finding).collect();
    findings.iter_mut().for_each(|finding| around.advise(finding));
    let mut report = Report::new(facts, &profile, findings, Vec::new());
    let is_blocked = report.blocking(false).next().is_some();
    report.exit_status = if is_blocked { exit::BLOCKED } else { exit::OK };
    report
}

fn healthy() -> Facts {
    facts("healthy-28.5.2", &profile("28.5.2"))
}

/// No volume, and no fuse-overlayfs, which would do without.
fn overlay(version: &str) -> Facts {
    let mut facts = facts("data-root-on-overlay", &profile(version));
    facts.engine.as_mut().unwrap().binaries.insert("fuse-overlayfs".to_owned(), None);
    facts
}

/// In another engine's container.
fn under(engine: &str, mut facts: Facts) -> Facts {
    let outer = facts.outer.as_mut().unwrap();
    outer.engine = Some(engine.to_owned());
    facts
}

fn launched(mut report: Report, failure: Option<Failure>) -> Report {
    report.exit_status = if failure.is_some() { exit::LAUNCH_FAILED } else { exit::OK };
    let command = vec!["dockerd".to_owned(), "--host=fd://".to_owned()];
    report.launch = Some(Launch { command, ready_ms: Some(400), failure, ..Launch::default() });
    report
}

fn scenario(id: &'static str, outcome: Outcome, summary: &str) -> Scenario {
    Scenario {
        id,
        outcome,
        severity: Severity::Blocking,
        summary: summary.to_owned(),
        evidence: Vec::new(),
        cause: None,
        remedy: Vec::new(),
        because_of: None,
        ms: 12,
    }
}

/// The quick proof, of which these fail for one reason.
fn proved(report: Report, failed: &[&str]) -> Report {
    let mut report = launched(report, None);
    let claims = CLAIMS.iter().filter(|claim| claim.quick && !["paths", "test-image", "bisect"].contains(&claim.id));
    let scenarios = claims.map(|claim| match failed.iter().position(|id| *id == claim.id) {
        Some(0) => scenario(claim.id, Outcome::Fail, "cannot start the test container: runc: permission denied"),
        Some(_) => Scenario {
            because_of: Some(format!("verification.{}", failed[0])),
            ..scenario(claim.id, Outcome::Fail, "failed as the first did")
        },
        None => scenario(claim.id, Outcome::Pass, claim.title),
    });
    let scenarios = scenarios.collect();
    report.verification = Some(Verification { scenarios, storage_driver: "overlay2".to_owned(), ms: 400 });
    if !failed.is_empty() {
        report.exit_status = exit::VERIFICATION_FAILED;
    }
    report
}

fn situations() -> Vec<Situation> {
    let situation = |name, report, tells| Situation { name, report, tells };
    let overlay = |version: &str| checked(&overlay(version), version);
    let no_iptables = {
        let mut facts = healthy();
        facts.netfilter.as_mut().unwrap().candidates.clear();
        facts
    };
    let stale = {
        let mut facts = healthy();
        facts.leftovers.as_mut().unwrap().pidfiles.push(pidfile(Some("sleep")));
        facts
    };
    let two = {
        let mut facts = facts("no-cgroup-mounts", &profile("28.5.2"));
        let other = self::overlay("28.5.2");
        (facts.storage, facts.engine) = (other.storage, other.engine);
        facts
    };
    let untold = {
        let mut facts = healthy();
        let error = dindcheck::fact::FactError::new("read", "/proc/self/limits", "Input/output error (os error 5)");
        facts.limits = Err(error.clone());
        facts.devices = Err(error);
        facts
    };
    let small = {
        let mut facts = healthy();
        let limits = facts.limits.as_mut().unwrap();
        limits.memory_max.as_mut().unwrap().value = Some(64 << 20);
        limits.open_files = Some(Limit { soft: Some(1 << 20), hard: Some(1 << 20) });
        facts
    };
    let log = "time=\"2026-11-01T10:00:00Z\" level=info msg=\"Starting up\"\n\
               failed to start daemon: Devices cgroup isn't mounted\n";
    let died = diagnosis::diagnose(log.as_bytes(), Options::default()).unwrap();
    let died = Failure::diagnosed("the daemon ended before its API answered, with exit status 1", died);
    let mut killed = Failure::new("the kernel killed the daemon before it was proved: out of memory");
    killed.cause = diagnosis::named("memory-oom-killed");
    let pod = under("kubernetes", unprivileged());
    vec![
        situation("healthy", checked(&healthy(), "28.5.2"), ["nothing blocks", "exit status 0"]),
        situation("healthy and proved", proved(checked(&healthy(), "28.5.2"), &[]), ["proved", "exit status 0"]),
        situation(
            "not privileged",
            checked(&unprivileged(), "28.5.2"),
            ["the outer container is not privileged", "docker run --privileged IMAGE"],
        ),
        situation(
            "cgroups not mounted",
            checked(&facts("no-cgroup-mounts", &profile("28.5.2")), "28.5.2"),
            ["no cgroup hierarchy is mounted", "-v /sys/fs/cgroup:/sys/fs/cgroup IMAGE"],
        ),
        situation("no volume, 28", overlay("28.5.2"), ["vfs", "docker run --privileged -v /var/lib/docker IMAGE"]),
        situation("no volume, 29", overlay("29.7.2"), ["every container will fail", "-v /var/lib/docker IMAGE"]),
        situation("no iptables", checked(&no_iptables, "28.5.2"), ["there is no iptables", "install iptables"]),
        situation("a stale pid file", checked(&stale, "28.5.2"), ["stale: /run/docker.pid", "rm /run/docker.pid"]),
        situation(
            "two causes at once",
            checked(&two, "28.5.2"),
            ["no cgroup hierarchy", "-v /sys/fs/cgroup:/sys/fs/cgroup"],
        ),
        situation("unknowns", checked(&untold, "28.5.2"), ["cannot read /proc/self/limits", "cannot be told"]),
        situation("a pod", checked(&pod, "28.5.2"), ["not privileged", "securityContext: {privileged: true}"]),
        situation("LXC", checked(&under("lxc", unprivileged()), "28.5.2"), ["not privileged", "security.nesting=true"]),
        situation(
            "a failed proof",
            proved(checked(&healthy(), "28.5.2"), &["run", "user", "layers"]),
            ["cannot start the test container", "exit status 5"],
        ),
        situation(
            "a failed launch",
            launched(checked(&healthy(), "28.5.2"), Some(died)),
            ["Devices cgroup isn't mounted", "do   "],
        ),
        situation(
            "killed for want of memory",
            launched(checked(&small, "28.5.2"), Some(killed)),
            ["out of memory", "docker run --privileged --memory 1g IMAGE"],
        ),
    ]
}

fn shown(report: &Report, width: usize, verbose: bool, quiet: bool) -> String {
    let mut out = Vec::new();
    table::write(report, Layout { color: false, verbose, quiet, width, is_aside: false }, &mut out).unwrap();
    String::from_utf8(out).unwrap().replace(env!("CARGO_PKG_VERSION"), "0.0.0")
}

#[test]
fn a_tired_person_sees_cause_and_remedy() {
    for width in [80, 120] {
        let mut all = String::new();
        for Situation { name, report, tells } in situations() {
            let text = shown(&report, width, false, false);
            write!(all, "=== {name}\n{text}").unwrap();
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines.len() <= 25, "{name}: {} lines\n{text}", lines.len());
            let end = lines[lines.len().saturating_sub(10)..].join("\n");
            for words in tells {
                assert!(end.contains(words), "{name}: not `{words}` in\n{end}");
            }
            let is_for_pasting = |line: &str| line.starts_with("  ") && !line.starts_with("      ");
            let is_wide = |line: &&str| line.chars().count() > width && !is_for_pasting(line);
            let wide = lines.iter().find(|line| is_wide(line) && !line.starts_with("dindcheck: "));
            assert_eq!(wide, None, "{name}");
        }
        insta::assert_snapshot!(format!("situations_{width}"), all);
    }
}

#[test]
fn the_last_sentence_counts_what_made_the_exit_status() {
    let sentence = |report: &Report, quiet| {
        let text = shown(report, 80, false, quiet);
        text.lines().last().unwrap().to_owned()
    };
    for Situation { name, report, .. } in situations() {
        for quiet in [false, true] {
            let last = sentence(&report, quiet);
            assert!(last.ends_with(&format!("; exit status {}", report.exit_status)), "{name}: {last}");
        }
    }
    // A claim that fails is counted, and so is one that passes where nothing was judged.
    let failed = proved(checked(&healthy(), "28.5.2"), &["run", "user"]);
    assert!(sentence(&failed, true).contains("2 claims failed"), "{}", sentence(&failed, true));
    let mut alone = proved(checked(&healthy(), "28.5.2"), &[]);
    alone.findings.clear();
    assert_eq!(sentence(&alone, true), "dindcheck: proved: 15 claims passed; exit status 0");
    let mut strict = checked(&overlay("28.5.2"), "28.5.2");
    strict.strict = true;
    strict.exit_status = exit::BLOCKED;
    assert!(sentence(&strict, true).contains("1 check failed"), "{}", sentence(&strict, true));
}

#[test]
fn everything_is_there_when_it_is_asked_for() {
    for Situation { name, report, .. } in situations() {
        let text = shown(&report, 120, true, false);
        for finding in &report.findings {
            assert!(text.contains(finding.id), "{name}: {}", finding.id);
        }
    }
}

#[test]
fn what_is_well_is_reported_in_one_line() {
    let lines = digest::start_lines(&proved(checked(&healthy(), "28.5.2"), &[]));
    assert_eq!((lines.len(), lines[0].0), (1, Level::Info), "{lines:?}");
    assert!(lines[0].1.starts_with("Docker 28.5.2 is ready, proved in 0.4 s: "), "{lines:?}");
    // A warning is one more line, for the reader of the log.
    let warned = checked(&overlay("28.5.2"), "28.5.2");
    let lines = digest::start_lines(&proved(warned, &[]));
    assert_eq!((lines.len(), lines[0].0, lines[1].0), (2, Level::Warning, Level::Info), "{lines:?}");
    assert!(lines[0].1.starts_with("warning: storage.data-root: "), "{lines:?}");
}

/// What an engine makes of what another one left is that of the plain daemon, as scripts/lab-scenarios has it for those in
/// the lab.
#[test]
fn what_a_data_root_was_made_with_foretells() {
    use dindcheck::finding::Fate::{self, Dies, EveryContainerFails, FallsBack, Works};
    let rows: &[(&str, bool, &str, &str, Fate)] = &[
        ("28.5.2", false, "vfs", "", Works),
        ("28.5.2", true, "vfs", "", FallsBack),
        ("29.7.2", true, "vfs", "", EveryContainerFails),
        ("28.5.2", true, "overlay2", "", Dies),
        ("29.7.2", true, "overlay2", "", Dies),
        ("28.5.2", false, "overlay2", "", Works),
        ("28.5.2", false, "overlay2 aufs", "", Works),
        ("20.10.24", false, "overlay2 aufs", "", Dies),
        ("28.5.2", false, "overlay2 btrfs", "", Dies),
        ("28.5.2", false, "overlay2 btrfs", "btrfs", Works),
        ("29.7.2", false, "overlay2 btrfs", "", Dies),
        ("29.7.2", false, "overlay2 zfs", "", Dies),
        ("28.5.2", false, "zfs", "", Dies),
        ("28.5.2", false, "zfs", "zfs", Works),
        ("29.7.2", true, "aufs", "", EveryContainerFails),
        // 24.0 has the driver, and not in the order in which it looks for one to go on with.
        ("24.0.9", false, "devicemapper", "", Works),
        ("20.10.24", false, "devicemapper", "", Dies),
        ("28.5.2", false, "fuse-overlayfs", "", Dies),
        ("29.7.2", false, "fuse-overlayfs", "", Dies),
    ];
    for (version, on_overlay, used, left_out, fate) in rows {
        let profile = profile(version);
        let mut facts = facts(if *on_overlay { "data-root-on-overlay" } else { "healthy-28.5.2" }, &profile);
        facts.engine.as_mut().unwrap().binaries.insert("fuse-overlayfs".to_owned(), None);
        let storage = facts.storage.as_mut().unwrap();
        [storage.used_drivers, storage.left_out] =
            [used, left_out].map(|names| names.split_whitespace().map(str::to_owned).collect());
        let drivers: Vec<String> = profile.graph_drivers().map(str::to_owned).collect();
        let prior = |name: &String| name != "vfs" && !storage.left_out.contains(name) && drivers.contains(name);
        let has_prior = storage.used_drivers.iter().any(prior);
        let configuration = facts.configuration.as_ref().unwrap();
        storage.image_store = configuration.image_store(profile.storage_image_store.value, &drivers, has_prior).0;
        let findings = super::causes::findings(&facts, version);
        assert_eq!(
            Finding::foretold(&findings),
            *fate,
            "{version} {used:?} without {left_out:?}, on overlay: {on_overlay}"
        );
    }
}

/// The same with nft, which no engine of the lab has: `scripts/lab inner` holds these against one of 29.
#[test]
fn what_nftables_foretells() {
    use dindcheck::finding::Fate::{self, Dies, Works};
    type Make = fn(&mut Facts);
    let rows: [(&str, Make, Fate); 6] = [
        ("all is there", |facts| with_nft_and_ipv6(facts, [1, 1, 1]), Works),
        ("no program", |facts| facts.netfilter.as_mut().unwrap().nftables = Some(Ok(nft(None))), Dies),
        ("a rule is refused", |facts| refuse_fib(facts, false), Dies),
        ("forwarding is off", |facts| with_nft_and_ipv6(facts, [0, 1, 1]), Dies),
        ("IPv6: that of the default is off", |facts| with_nft_and_ipv6(facts, [1, 0, 1]), Dies),
        (
            "it is left off",
            |facts| {
                with_nft_and_ipv6(facts, [0, 0, 0]);
                facts.network.as_mut().unwrap().daemon_leaves_forwarding = true;
            },
            Works,
        ),
    ];
    for (name, make, fate) in rows {
        let mut facts = facts("healthy-28.5.2", &profile("29.7.2"));
        make(&mut facts);
        assert_eq!(Finding::foretold(&super::causes::findings(&facts, "29.7.2")), fate, "{name}");
    }
}

/// All of it, in each situation, and the last sentence of each end: it changes only on purpose.
#[test]
fn each_situation_is_reported_as_it_was() {
    let mut all = String::new();
    for Situation { name, report, .. } in situations() {
        let lines = digest::start_lines(&report);
        let _ = write!(all, "=== {name}: {lines:?}\n{}", shown(&report, 80, false, true));
    }
    let reason = || Some("a reason".to_owned());
    for status in [exit::OK, 1, 2, 3, 4, 5, 6, exit::SIGNAL_BASE, exit::SIGNAL_BASE + 15] {
        let plain = checked(&healthy(), "28.5.2");
        let failed =
            Report { launch: launched(plain.clone(), Some(Failure::new("it failed"))).launch, ..plain.clone() };
        let reports = [
            ("plain", plain.clone()),
            ("for a reason", Report { reason: reason(), ..plain.clone() }),
            ("its launch failed", failed.clone()),
            ("its launch failed for a reason", Report { reason: reason(), ..failed }),
            ("proved", proved(plain.clone(), &[])),
            ("not proved", proved(plain, &["run"])),
        ];
        for (name, report) in reports {
            let text = shown(&Report { exit_status: status, ..report }, 200, false, true);
            let _ = writeln!(all, "{name}, {status}: {}", text.lines().last().unwrap_or_default());
        }
    }
    insta::assert_snapshot!("reports", all);
}

#[test]
fn a_report_tells_why_where_a_launch_a_claim_or_a_check_failed() {
    let well = || checked(&healthy(), "28.5.2");
    assert!(!well().tells());
    assert!(!launched(well(), None).tells() && !proved(well(), &[]).tells());
    assert!(launched(well(), Some(Failure::new("it failed"))).tells());
    assert!(proved(well(), &["run"]).tells());
    assert!(checked(&facts("no-cgroup-mounts", &profile("28.5.2")), "28.5.2").tells());
    let mut warned = checked(&overlay("28.5.2"), "28.5.2");
    assert!(!warned.tells());
    warned.strict = true;
    assert!(warned.tells(), "a warning is a reason where it blocks");
}

/// What the log names goes before what a check would have said.
#[test]
fn a_failure_is_explained_by_a_check_that_was_left_out_if_by_nothing_else() {
    let report = checked(&facts("no-cgroup-mounts", &profile("28.5.2")), "28.5.2");
    let finding = report.findings.iter().find(|finding| finding.id == "cgroup.mounted").unwrap();
    let mut failure = Failure::new("it failed");
    failure.explain_by(finding);
    let cause = failure.cause.clone().unwrap();
    let wanted = Named {
        id: "cgroup.mounted".to_owned(),
        line: 0,
        weight: Weight::Likely,
        title: "no cgroup hierarchy is mounted (the check was left out)".to_owned(),
        why: finding.cause.clone().unwrap(),
        remedy: finding.remedy.join("; "),
        check: Some("cgroup.mounted".to_owned()),
        fix: None,
        sources: finding.source.clone(),
    };
    assert_eq!(cause, wanted);
    let other = report.findings.iter().find(|finding| finding.id != "cgroup.mounted").unwrap();
    failure.explain_by(other);
    assert_eq!((failure.summary.as_str(), failure.cause), ("it failed", Some(wanted)));
}

#[test]
fn each_mend_has_a_row_with_what_became_of_it() {
    let applied = |check, result, refused: &[&str]| Applied {
        fix: Fix::in_container(check, format!("mends {check}"), Vec::new()),
        result,
        refused: refused.iter().map(|error| (*error).to_owned()).collect(),
    };
    let error = || "on purpose".to_owned();
    let left = vec!["a step".to_owned(), "another one".to_owned()];
    let mut report = checked(&healthy(), "28.5.2");
    report.findings.clear();
    report.fixes = vec![
        applied("a.done", Mended::Done, &["+cpu", "+io"]),
        applied("a.not-allowed", Mended::NotAllowed, &[]),
        applied("a.taken-back", Mended::TakenBack { error: error() }, &[]),
        applied("a.stuck", Mended::Stuck { error: error(), left }, &[]),
    ];
    let text = shown(&report, 200, true, false);
    let rows: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let wanted = [
        "mend a.done mends a.done",
        "refused +cpu",
        "refused +io",
        "warn a.not-allowed not done: mends a.not-allowed touches the host; allow it with --allow-host-changes",
        "FAIL a.taken-back mends a.taken-back: on purpose",
        "what it had done was undone",
        "FAIL a.stuck mends a.stuck: on purpose",
        "and could not be undone: a step; another one",
    ];
    assert_eq!(rows[1..=wanted.len()], wanted, "{text}");
}
