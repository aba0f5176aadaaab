//! A report in short: what passed by family, what is wrong by its root, what to do about all of it, and the verdict.

use std::collections::BTreeMap;

use super::document::Item;
use super::remedy::Cure;
use super::{Report, document};
use crate::check::cause;
use crate::exit;
use crate::finding::{Outcome, Severity};
use crate::process::level::Level;

/// What fails for one reason.
#[derive(Debug)]
pub struct Group<'i> {
    /// The id of the root.
    pub id: String,
    /// The root in a line.
    pub title: String,
    /// Why it breaks things.
    pub why: Option<String>,
    /// What failed: the root itself first, if it is a check, then the worst.
    pub failed: Vec<&'i Item>,
    /// What could not be told because of it.
    pub untold: Vec<&'i Item>,
    /// The worst of it.
    pub severity: Severity,
    /// What to do that is for people alone.
    pub words: Vec<String>,
}

/// A report in short.
#[derive(Debug)]
pub struct Digest<'i> {
    /// How many passed, by family: the first word of their ids.
    pub passed: Vec<(&'i str, usize)>,
    /// What was mended.
    pub mended: Vec<&'i Item>,
    /// What is worth knowing, and has no graver root.
    pub notes: Vec<&'i Item>,
    /// What could not be told, for no reason that a finding has: the reason, and what it concerns.
    pub untold: Vec<(String, Vec<&'i Item>)>,
    /// What is wrong, the worst last.
    pub groups: Vec<Group<'i>>,
    /// What to do about all of it.
    pub cure: Cure,
    /// The last sentence: what made the exit status, and what was counted.
    pub verdict: String,
}

/// What an unknown's summary begins with.
const UNTOLD: &str = "cannot be told: ";

impl<'i> Digest<'i> {
    /// Of a report and the items of its document.
    pub fn new(report: &Report, items: &'i [Item], engines: &[String]) -> Self {
        let mut passed: Vec<(&str, usize)> = Vec::new();
        let is_mended = |item: &Item| item.id.starts_with("fix.") && item.outcome == Outcome::Pass;
        for item in items.iter().filter(|item| item.outcome == Outcome::Pass && !is_mended(item)) {
            let family = family(&item.id);
            match passed.iter_mut().find(|(name, _)| *name == family) {
                Some((_, count)) => *count += 1,
                None => passed.push((family, 1)),
            }
        }
        let mut groups = groups(items);
        let notes: Vec<&Item> = groups.extract_if(.., is_note).flat_map(|group| group.failed).collect();
        let mut untold: Vec<(String, Vec<&Item>)> = Vec::new();
        for item in groups.extract_if(.., |group| group.failed.is_empty()).flat_map(|group| group.untold) {
            let reason = untold_reason(item);
            match untold.iter_mut().find(|(known, _)| known == reason) {
                Some((_, items)) => items.push(item),
                None => untold.push((reason.to_owned(), vec![item])),
            }
        }
        groups.sort_by_key(|group| group.severity);
        // A user's daemon works with less.
        let is_users =
            items.iter().any(|item| family(&item.id) == "rootless" && item.outcome != Outcome::NotApplicable);
        let mut cure = Cure::new(report.outer.engine.as_deref(), !is_users);
        for group in &mut groups {
            // What cures a root that no check has is what cures its chief sign.
            let sign = group.failed.iter().find(|item| family(&item.id) == "privileges");
            let sign: Vec<&Item> = sign.or(group.failed.first()).copied().into_iter().collect();
            let (root, others) = match group.failed.split_first() {
                _ if cause::find(&group.id).is_some() => (sign.as_slice(), [].as_slice()),
                Some((first, others)) if first.id == group.id => (std::slice::from_ref(first), others),
                _ => (group.failed.as_slice(), [].as_slice()),
            };
            group.words = cure.add(root, engines);
            // Without its root a consequence needs no remedy of its own, unless there is none for the root.
            if !group.words.is_empty() {
                group.words.extend(cure.add(others, engines));
            }
            group.words.dedup();
        }
        let verdict = verdict(report, items, &groups);
        let mended = items.iter().filter(|item| is_mended(item)).collect();
        Self { passed, mended, notes, untold, groups, cure, verdict }
    }
}

/// A blank at which no line may end.
pub(super) const HELD: char = '\u{a0}';

/// The family of an id: its first word.
pub fn family(id: &str) -> &str {
    id.split('.').next().unwrap_or(id)
}

/// How often each family is among these, in words: `cgroup 2, network 4`.
pub fn by_family(items: &[&Item]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    items.iter().for_each(|item| *counts.entry(family(&item.id)).or_default() += 1);
    counts.iter().map(|(family, count)| format!("{family}{HELD}{count}")).collect::<Vec<_>>().join(", ")
}

fn is_note(group: &mut Group<'_>) -> bool {
    !group.failed.is_empty() && group.severity == Severity::Info
}

/// The id of the root of an item: that of what it is because of, and so on.
fn root<'i>(items: &'i [Item], item: &'i Item) -> &'i str {
    let mut id = item.id.as_str();
    let mut next = item.because_of.as_deref();
    // No chain is longer than there are items.
    for _ in items {
        let Some(root) = next else { break };
        id = root;
        next = items.iter().find(|item| item.id == id).and_then(|item| item.because_of.as_deref());
    }
    id
}

/// What is no pass, by its root.
pub(super) fn groups(items: &[Item]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for item in items.iter().filter(|item| !item.is_fine()) {
        let root = root(items, item);
        let index = groups.iter().position(|group| group.id == root).unwrap_or_else(|| {
            groups.push(Group {
                id: root.to_owned(),
                title: String::new(),
                why: None,
                failed: Vec::new(),
                untold: Vec::new(),
                severity: Severity::Info,
                words: Vec::new(),
            });
            groups.len() - 1
        });
        let group = &mut groups[index];
        match item.outcome {
            Outcome::Fail => group.failed.push(item),
            _ => group.untold.push(item),
        }
    }
    merge_untold(&mut groups);
    for group in &mut groups {
        group.failed.sort_by_key(|item| (item.id != group.id, std::cmp::Reverse(item.severity)));
        group.severity = group.failed.iter().map(|item| item.severity).max().unwrap_or(Severity::Warning);
        let own = group.failed.iter().find(|item| item.id == group.id);
        match (cause::find(&group.id), own) {
            (Some(cause), _) => {
                group.title = cause.title.to_owned();
                group.why = Some(cause.why.to_owned());
            }
            (None, Some(own)) => {
                group.title = own.summary.clone();
                group.why = own.cause.clone();
            }
            (None, None) => match group.untold.iter().find(|item| item.id == group.id) {
                Some(own) => group.title.clone_from(&own.summary),
                None => group.title.clone_from(&group.id),
            },
        }
    }
    groups
}

/// What cannot be told for the same reason, and is no consequence of a finding, is one group.
fn merge_untold(groups: &mut Vec<Group<'_>>) {
    let mut merged: Vec<Group<'_>> = Vec::new();
    for group in groups.drain(..) {
        let reason = |group: &Group<'_>| match (group.failed.as_slice(), group.untold.first()) {
            ([], Some(first)) if first.id == group.id => Some(untold_reason(first).to_owned()),
            _ => None,
        };
        let same = reason(&group).and_then(|own| merged.iter_mut().find(|known| reason(known).as_ref() == Some(&own)));
        match same {
            Some(known) => known.untold.extend(group.untold),
            None => merged.push(group),
        }
    }
    *groups = merged;
}

/// Why an item cannot be told.
fn untold_reason(item: &Item) -> &str {
    item.summary.strip_prefix(UNTOLD).unwrap_or(&item.summary)
}

impl<'i> Group<'i> {
    /// The root, where it is an item itself.
    pub(super) fn root(&self) -> Option<&'i Item> {
        self.failed.iter().chain(&self.untold).find(|item| item.id == self.id).copied()
    }

    /// All but the root.
    pub(super) fn follows(&self) -> impl Iterator<Item = &'i Item> {
        self.failed.iter().chain(&self.untold).filter(|item| item.id != self.id).copied()
    }

    /// What binds the others to the root.
    pub(super) fn link(&self) -> &'static str {
        if self.failed.is_empty() && self.root().is_some() { "for the same reason" } else { "because of it" }
    }

    /// The word for the worst of it, as [`Item::word`] has it.
    pub(super) fn word(&self) -> &'static str {
        match self.severity {
            _ if self.failed.is_empty() => "unknown",
            Severity::Blocking => "blocking",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }

    /// What is the case, in a line.
    pub(super) fn summary(&self) -> &str {
        self.root().map_or(&self.title, |root| &root.summary)
    }

    /// What the root rests on and what to do about it, then what follows from it: what failed a line each, what cannot
    /// be told in one.
    pub(super) fn details(&self) -> Vec<String> {
        let mut lines = match (self.root(), cause::find(&self.id)) {
            (Some(root), _) => root.details(),
            (None, Some(cause)) => vec![format!("why: {}", cause.why), format!("do: {}", cause.remedy)],
            (None, None) => Vec::new(),
        };
        let (failed, untold): (Vec<&Item>, Vec<&Item>) = self.follows().partition(|item| item.outcome == Outcome::Fail);
        lines.extend(failed.iter().map(|item| format!("because of it: {}: {}", item.id, item.summary)));
        if !untold.is_empty() {
            let families = by_family(&untold).replace(HELD, " ");
            lines.push(format!("{} cannot be told {}: {families}", untold.len(), self.link()));
        }
        lines
    }
}

/// What was counted, in the plural where it is one.
fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// The last sentence of a report.
pub fn verdict(report: &Report, items: &[Item], groups: &[Group<'_>]) -> String {
    let is_claim = |item: &&Item| item.id.starts_with("verification.");
    let is_check = |item: &&Item| !item.id.starts_with("verification.") && !is_step(item);
    let blocks = |item: &Item| {
        // A claim is what it is whatever counts as a finding.
        let strict = report.strict && !is_claim(&item);
        item.blocks(strict)
    };
    let all = |which: &dyn Fn(&&Item) -> bool| items.iter().filter(|item| which(item)).count();
    let failed_checks = all(&|item| is_check(item) && blocks(item));
    let failed_claims = all(&|item| is_claim(item) && blocks(item));
    let mut parts = Vec::new();
    if failed_checks > 0 {
        parts.push(count(failed_checks, "check failed", "checks failed"));
    }
    if failed_claims > 0 {
        parts.push(count(failed_claims, "claim failed", "claims failed"));
    }
    let untold = all(&|item| item.outcome == Outcome::Unknown);
    if untold > 0 {
        parts.push(format!("{untold} cannot be told"));
    }
    // What went well, and what is worth knowing, is counted where nothing else is to be told.
    if report.exit_status == exit::OK {
        let passed = |which: &dyn Fn(&&Item) -> bool| all(&|item| which(item) && item.outcome == Outcome::Pass);
        let (checks, claims) = (passed(&is_check), passed(&is_claim));
        match (checks, claims) {
            (0, 0) => {}
            (checks, 0) => parts.push(count(checks, "check passed", "checks passed")),
            (0, claims) => parts.push(count(claims, "claim passed", "claims passed")),
            (checks, claims) => {
                let checks = count(checks, "check", "checks");
                parts.push(format!("{checks} and {}", count(claims, "claim passed", "claims passed")));
            }
        }
        let failed =
            |severity| all(&|item| item.outcome == Outcome::Fail && item.severity == severity && !blocks(item));
        let (warnings, notes) = (failed(Severity::Warning), failed(Severity::Info));
        if warnings > 0 {
            parts.push(count(warnings, "warning", "warnings"));
        }
        if notes > 0 {
            parts.push(count(notes, "note", "notes"));
        }
    }
    let mut head = head(report);
    if matches!(report.exit_status, exit::BLOCKED | exit::VERIFICATION_FAILED) {
        // The worst is shown last, and named first.
        let blocking = groups.iter().rev().filter(|group| group.failed.iter().any(|item| blocks(item)));
        let titles = blocking.map(|group| match cause::find(&group.id) {
            Some(_) => group.title.clone(),
            None => format!("{}: {}", group.id, group.title),
        });
        let titles: Vec<String> = titles.collect();
        head += &match titles.as_slice() {
            [] => String::new(),
            [one] => format!(": {one}"),
            [one, other] => format!(": {one}, and {other}"),
            [one, others @ ..] => format!(": {one}, and {} more causes", others.len()),
        };
    }
    let tail = format!("exit status {}", report.exit_status);
    match parts.as_slice() {
        [] => format!("dindcheck: {head}; {tail}"),
        _ if report.exit_status == exit::OK => format!("dindcheck: {head}: {}; {tail}", parts.join(", ")),
        _ => format!("dindcheck: {head} ({}); {tail}", parts.join(", ")),
    }
}

/// Whether an item is no judgement, but something that was done.
fn is_step(item: &Item) -> bool {
    item.id == "launch" || item.id.starts_with("fix.")
}

fn head(report: &Report) -> String {
    let failure = report.launch.as_ref().and_then(|launch| launch.failure.as_ref());
    match (report.exit_status, failure, &report.reason) {
        (exit::OK, ..) if report.verification.is_some() => "proved".to_owned(),
        (exit::OK, ..) => "nothing blocks".to_owned(),
        (exit::BLOCKED, ..) => "blocked".to_owned(),
        (exit::FIX_FAILED, ..) => "a fix failed".to_owned(),
        (exit::VERIFICATION_FAILED, _, Some(reason)) => reason.clone(),
        (exit::VERIFICATION_FAILED, ..) => "the proof failed".to_owned(),
        (_, Some(failure), _) => {
            let first = failure.first_error.as_ref().map(|first| format!(": {}", shortened(&first.text.line())));
            format!("{}{}", failure.summary, first.unwrap_or_default())
        }
        (_, None, Some(reason)) => reason.clone(),
        (status, None, None) if status > exit::SIGNAL_BASE => "asked to stop".to_owned(),
        _ => "failed".to_owned(),
    }
}

/// A line of a log, as long as a sentence may be.
fn shortened(text: &str) -> String {
    const MOST: usize = 120;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// What a start that went well is told in: one line, and one before it for each warning and each mend.
pub fn start_lines(report: &Report) -> Vec<(Level, String)> {
    let document = document::Document::from(report).visible();
    let items = document.suites.first().map(|suite| suite.items.as_slice()).unwrap_or_default();
    let of = |test: &dyn Fn(&Item) -> bool| items.iter().filter(|item| test(item)).count();
    let is_claim = |item: &Item| item.id.starts_with("verification.");
    let passed = |item: &Item| item.outcome == Outcome::Pass;
    let checks = of(&|item| passed(item) && !is_claim(item) && !is_step(item));
    let claims = of(&|item| passed(item) && is_claim(item));
    let notes = of(&|item| item.outcome == Outcome::Fail && item.severity == Severity::Info);
    let untold = of(&|item| item.outcome == Outcome::Unknown);
    let mut line = match &report.verification {
        Some(proof) => {
            let seconds = std::time::Duration::from_millis(proof.ms).as_secs_f32();
            format!(
                "Docker {} is ready, proved in {seconds:.1} s: {}, {}",
                report.inner.version,
                count(checks, "check", "checks"),
                count(claims, "claim", "claims")
            )
        }
        None => format!("Docker {} is ready, not proved: {}", report.inner.version, count(checks, "check", "checks")),
    };
    if untold > 0 {
        line += &format!(", {untold} cannot be told");
    }
    if notes > 0 {
        line += &format!("; {}", count(notes, "note", "notes"));
    }
    if untold + notes > 0 {
        line += ": dindcheck check";
    }
    let mut lines: Vec<(Level, String)> = Vec::new();
    let mut tell = |level, text: String| lines.extend(text.lines().map(|line| (level, line.to_owned())));
    for item in items {
        if item.id.starts_with("fix.") && passed(item) {
            tell(Level::Info, format!("mended {}: {}", item.id.trim_start_matches("fix."), item.summary));
        }
        if item.outcome == Outcome::Fail && item.severity != Severity::Info {
            let remedy = item.remedy.first().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
            tell(Level::Warning, format!("warning: {}: {}{remedy}", item.id, item.summary));
        }
    }
    tell(Level::Info, line);
    lines
}
