//! One cell: the image is run in one way, looked at, proved, perhaps killed or stopped, and removed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::inside;
use super::matrix::{CellSpec, DataRoot, Drill, Expect, Namespace, NetworkKind};
use super::report::{Cell, untold};
use super::run::{DIRECTORY, Entrypoint, Order, Outer};
use crate::diagnosis;
use crate::engine::api::ApiError;
use crate::engine::api::container::{Fed, Spec};
use crate::engine::api::exec::Exec;
use crate::exit;
use crate::facts::places::ROOT_SOCKET;
use crate::facts::storage::DEFAULT_DATA_ROOT;
use crate::finding::{Evidence, Outcome, Severity};
use crate::foreign::Foreign;
use crate::report::document::{Item, Span};
use crate::report::seal::{self, Seal};

/// What the outer engine gives before it kills, in seconds (`docker stop`).
const GRACE_S: i32 = 10;
/// How many lines of a log are kept.
const LOG_LINES: u32 = 20_000;
/// How long a look from beside waits before the next one.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one look from beside waits for the daemon.
const LOOK: &str = "10s";

/// What was seen while it ran.
#[derive(Default)]
struct Seen {
    items: Vec<Item>,
    status: Option<i64>,
    /// The seal of the container's last start, where dindcheck is its entrypoint.
    seal: Option<Seal>,
    /// The standard input that its key was given on.
    fed: Option<Fed>,
    /// The reports from inside that did not come with the container's own output.
    reports: Vec<Value>,
}

/// Runs one cell to its end, whatever that is.
pub(super) async fn run(
    outer: &Outer,
    order: &Order,
    spec: &CellSpec,
    tool: &str,
    beginning: Instant,
    tell: &dyn Fn(&str),
) -> Cell {
    let mut cell = Cell {
        name: spec.name.clone(),
        title: spec.title(),
        items: Vec::new(),
        spans: Vec::new(),
        status: None,
        report: None,
        log: Foreign::default(),
    };
    tell(&format!("{}: {}", spec.name, cell.title));
    let began = beginning.elapsed();
    let made = make(outer, order, spec, tool).await;
    let ran_from = beginning.elapsed();
    match &made {
        Err(error) => cell.items.push(untold(error.to_string())),
        Ok(container) => {
            let seen = match tokio::time::timeout(order.timeout, drive(outer, order, spec, container)).await {
                Ok(Ok(seen)) => seen,
                Ok(Err(error)) => Seen { items: vec![failed(error)], ..Seen::default() },
                Err(_) => {
                    let reason = format!("not done within {} s", order.timeout.as_secs());
                    Seen {
                        items: vec![Item::new("launch", Outcome::Fail, Severity::Blocking, reason)],
                        ..Seen::default()
                    }
                }
            };
            collect(outer, order, spec.drill, container, seen, &mut cell).await;
        }
    }
    let ended = beginning.elapsed();
    cell.spans = spans(began, ran_from, ended, cell.report.as_ref());
    if let Ok(container) = &made
        && let Err(error) = outer.api.remove_container(container).await
    {
        cell.items.push(untold(error.to_string()));
    }
    if spec.expect == Expect::Fail {
        expect_failure(&mut cell.items);
    }
    let verdict = if cell.items.iter().any(|item| item.blocks(false)) { "refused" } else { "passed" };
    tell(&format!("{}: {verdict} after {:.1} s", spec.name, (ended.saturating_sub(began)).as_secs_f32()));
    cell
}

/// Something that the image does in a container is its own; that none can be made is not.
fn failed(error: ApiError) -> Item {
    Item::new("launch", Outcome::Fail, Severity::Blocking, error.to_string())
}

async fn make(outer: &Outer, order: &Order, cell: &CellSpec, tool: &str) -> Result<String, ApiError> {
    let data_root = DEFAULT_DATA_ROOT;
    let mut binds = vec![format!("{tool}:{DIRECTORY}:ro")];
    let mut tmpfs = HashMap::new();
    match cell.data_root {
        DataRoot::Volume => {
            let volume = outer.name(&format!("{}-data", cell.name));
            outer.api.create_volume(&volume, outer.labels()).await?;
            binds.push(format!("{volume}:{data_root}"));
        }
        DataRoot::Tmpfs => {
            tmpfs.insert(data_root.to_owned(), "rw,exec,suid,dev".to_owned());
        }
        DataRoot::Overlay => {}
    }
    if cell.read_only {
        for directory in ["/run", "/tmp"] {
            tmpfs.insert(directory.to_owned(), "rw,exec".to_owned());
        }
    }
    let network = match cell.network {
        NetworkKind::Default => None,
        NetworkKind::User => {
            let network = outer.name(&format!("{}-network", cell.name));
            outer.api.create_network(&network, outer.labels()).await?;
            Some(network)
        }
    };
    let (entrypoint, command) = match order.entrypoint {
        Entrypoint::Theirs => (None, None),
        Entrypoint::Dindcheck => {
            let mut words: Vec<String> = [seal::OPTION, "--fix", "--format", "json"].map(str::to_owned).to_vec();
            if cell.drill == Drill::None {
                words.push("--exit".to_owned());
            }
            words.extend(options(order));
            (Some(vec![tool_path()]), Some(words))
        }
    };
    let unconfined = || ["seccomp", "apparmor"].map(|what| format!("{what}=unconfined")).to_vec();
    let spec = Spec {
        name: outer.name(&cell.name),
        image: order.image.clone(),
        command,
        labels: outer.labels(),
        binds,
        tmpfs,
        memory: cell.memory_bytes().ok().flatten(),
        privileged: cell.privileged,
        network,
        input: order.entrypoint == Entrypoint::Dindcheck,
        entrypoint,
        read_only: cell.read_only,
        init: cell.init,
        own_cgroup_namespace: cell.cgroup_namespace.map(|namespace| namespace == Namespace::Private),
        capabilities: if cell.privileged { Vec::new() } else { cell.capabilities.clone() },
        security: if cell.privileged { Vec::new() } else { unconfined() },
        ..Spec::default()
    };
    outer.api.create(&spec).await
}

/// The options that every look from inside gets, and the daemon's flags behind them.
fn options(order: &Order) -> Vec<String> {
    let mut words = order.look.clone();
    if !order.daemon_flags.is_empty() {
        words.push("--".to_owned());
        words.extend(order.daemon_flags.iter().cloned());
    }
    words
}

fn tool_path() -> String {
    format!("{DIRECTORY}/dindcheck")
}

/// Starts the container, and does to it what the drill says.
async fn drive(outer: &Outer, order: &Order, cell: &CellSpec, container: &str) -> Result<Seen, ApiError> {
    let api = &outer.api;
    let mut seen = Seen::default();
    start(outer, order, container, &mut seen).await?;
    match (order.entrypoint, cell.drill) {
        (Entrypoint::Dindcheck, Drill::None) => {
            seen.status = Some(api.wait(container).await?);
            return Ok(seen);
        }
        // From inside, a report comes as soon as the daemon is proved; on a failure, at the container's end.
        (Entrypoint::Dindcheck, _) => {
            if !proved(outer, container, &seen).await {
                seen.status = Some(api.wait(container).await?);
                return Ok(seen);
            }
        }
        (Entrypoint::Theirs, _) => {
            if !beside(outer, order, container, &mut seen).await? {
                return Ok(seen);
            }
        }
    }
    if cell.drill != Drill::None {
        let tool = tool_path();
        let busy = [tool.as_str(), "inside", "busy", ROOT_SOCKET];
        let left = api.exec(container, Exec { command: &busy, ..Exec::default() }).await?;
        if left.status != i64::from(crate::verification::STATUS) {
            let said = left.stderr.text();
            seen.items.push(Item::new(
                "gate.busy",
                Outcome::Fail,
                Severity::Blocking,
                format!("no container can be left running: {said}"),
            ));
        }
    }
    if cell.drill == Drill::Kill {
        api.kill(container, "KILL").await?;
        api.wait(container).await?;
        start(outer, order, container, &mut seen).await?;
        let again = match order.entrypoint {
            Entrypoint::Dindcheck => proved(outer, container, &seen).await,
            Entrypoint::Theirs => beside(outer, order, container, &mut seen).await?,
        };
        if !again {
            api.stop(container, GRACE_S).await?;
            seen.status = api.state(container).await?.exit_code;
            return Ok(seen);
        }
    }
    let start = Instant::now();
    api.stop(container, GRACE_S).await?;
    seen.status = api.state(container).await?.exit_code;
    // 128 + SIGKILL
    seen.items.push(if seen.status == Some(137) {
        let summary = format!("it did not end within {GRACE_S} s, and was killed");
        let mut item = Item::new("gate.stop", Outcome::Fail, Severity::Warning, summary);
        item.cause =
            Some("What the daemon has not written by then is lost, and its next start finds leftovers.".to_owned());
        item
    } else {
        let summary = format!("it ended {:.1} s after it was asked to", start.elapsed().as_secs_f32());
        Item::new("gate.stop", Outcome::Pass, Severity::Info, summary)
    });
    Ok(seen)
}

/// Starts a container; our process in it gets the key of its seal before anything of the image runs.
async fn start(outer: &Outer, order: &Order, container: &str, seen: &mut Seen) -> Result<(), ApiError> {
    if order.entrypoint == Entrypoint::Dindcheck {
        let seal = new_seal()?;
        seen.fed = Some(outer.api.feed(container, seal.key()).await?);
        seen.seal = Some(seal);
    }
    outer.api.start(container).await
}

fn new_seal() -> Result<Seal, ApiError> {
    Seal::new().map_err(|error| ApiError::odd("make a key", error.to_string()))
}

/// Waits for the report of dindcheck's main job; gives whether it says that all holds.
async fn proved(outer: &Outer, container: &str, seen: &Seen) -> bool {
    let report = |output: &str| seen.seal.as_ref()?.find(output);
    let report = outer.api.follow(container).until("a sealed report", report).await;
    report.is_ok_and(|report| report["exit_status"] == exit::OK)
}

async fn is_running(outer: &Outer, container: &str) -> Result<bool, ApiError> {
    Ok(outer.api.state(container).await?.running)
}

/// Looks at a container that runs what its image says, and proves its daemon; gives whether it is proved.
async fn beside(outer: &Outer, order: &Order, container: &str, seen: &mut Seen) -> Result<bool, ApiError> {
    let tool = tool_path();
    let options = options(order);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut checked = false;
    loop {
        if !is_running(outer, container).await? {
            seen.status = outer.api.state(container).await?.exit_code;
            let status = seen.status.unwrap_or_default();
            seen.items.push(Item::new(
                "launch",
                Outcome::Fail,
                Severity::Blocking,
                format!("what the image runs has ended, with status {status}, before its daemon was proved"),
            ));
            return Ok(false);
        }
        if !checked {
            // What a daemon that has begun already needs no more is for its verification to say.
            let look = [tool.as_str(), seal::OPTION, "check", "--format", "json"];
            checked = look_inside(outer, container, &[&look, options.as_slice()].concat(), seen).await?.is_some();
        }
        let look = [tool.as_str(), seal::OPTION, "verify", "--format", "json", "--timeout", LOOK];
        if let Some(status) = look_inside(outer, container, &[&look, options.as_slice()].concat(), seen).await? {
            return Ok(status == 0);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One look from beside; gives its exit status if there was something to look at.
async fn look_inside(
    outer: &Outer,
    container: &str,
    command: &[&str],
    seen: &mut Seen,
) -> Result<Option<i64>, ApiError> {
    let seal = new_seal()?;
    // A container that ends meanwhile makes the exec fail; the next round says so.
    let run = outer.api.exec(container, Exec { command, input: seal.key(), ..Exec::default() }).await;
    let Some(run) = run.ok().filter(|run| run.status != i64::from(exit::LAUNCH_FAILED)) else { return Ok(None) };
    let Some(report) = seal.find(run.stdout.raw()).filter(|report| report["exit_status"] == run.status) else {
        return Ok(None);
    };
    seen.reports.push(report);
    Ok(Some(run.status))
}

/// Takes the output of a container that has ended, or is about to be removed, into the cell.
async fn collect(outer: &Outer, order: &Order, drill: Drill, container: &str, seen: Seen, cell: &mut Cell) {
    cell.items = seen.items;
    cell.status = seen.status;
    let mut reports = seen.reports;
    match outer.api.logs(container, Some(LOG_LINES)).await {
        Ok(run) => {
            if order.entrypoint == Entrypoint::Dindcheck {
                reports = seen.seal.and_then(|seal| seal.find(run.stdout.raw())).into_iter().collect();
                if reports.is_empty() && seal::is_there(run.stdout.raw()) {
                    cell.items.push(unsealed());
                }
                cell.log = run.stderr;
            } else {
                cell.log = [run.stdout.raw(), run.stderr.raw()].concat().into();
            }
        }
        Err(error) => cell.items.push(untold(error.to_string())),
    }
    let mut items = Vec::new();
    for report in &reports {
        for item in inside::items(report) {
            // What verify says of the daemon comes after what check said of it.
            items.retain(|other: &Item| other.id != item.id);
            items.push(item);
        }
    }
    cell.items.extend(contradiction(order, drill, cell.status, reports.last()));
    if reports.is_empty() && !cell.items.iter().any(|item| item.blocks(false)) {
        let status = cell.status.map_or_else(|| "no status".to_owned(), |status| format!("status {status}"));
        cell.items.push(Item::new("launch", Outcome::Fail, Severity::Blocking, format!("no report came; {status}")));
    }
    // What happened to the container explains the report, not the other way round: but the first error says why.
    for item in cell.items.iter_mut().filter(|item| item.id == "launch" && item.outcome == Outcome::Fail) {
        explain(item, cell.log.raw());
    }
    items.append(&mut cell.items);
    cell.items = items;
    cell.report = reports.pop();
}

/// A report on our output that is not ours.
fn unsealed() -> Item {
    let summary = "what looks like a report came without the seal of this run, and does not count";
    let mut item = Item::new("gate.seal", Outcome::Fail, Severity::Blocking, summary);
    item.cause = Some("Something in the image has written a report of its own, or into ours.".to_owned());
    item
}

/// A report that is not what the container ended with. The outer engine has its status from the kernel.
fn contradiction(order: &Order, drill: Drill, status: Option<i64>, report: Option<&Value>) -> Option<Item> {
    // One that was killed at the end of its grace has an item of its own.
    let killed = drill != Drill::None && status == Some(137);
    // One that never ended has one, too.
    let status = status?;
    let report = report.filter(|_| order.entrypoint == Entrypoint::Dindcheck && !killed)?;
    let said = report["exit_status"].as_i64();
    if said == Some(status) {
        return None;
    }
    let said = said.map_or_else(|| "none".to_owned(), |said| said.to_string());
    let mut item = Item::new(
        "gate.status",
        Outcome::Fail,
        Severity::Blocking,
        format!("the container ended with status {status}, and its report says {said}"),
    );
    item.cause = Some("Something in the image has stopped dindcheck, or ended it.".to_owned());
    Some(item)
}

/// Adds the first error of the log that matters, and its cause.
fn explain(item: &mut Item, log: &str) {
    let Ok(found) = diagnosis::diagnose(log.as_bytes(), diagnosis::Options::default()) else { return };
    if let Some(first) = &found.first_error {
        let location = format!("line {} of its log", first.line);
        item.evidence.push(Evidence { location, value: first.text.text(), wanted: None });
    }
    if let Some(cause) = found.cause() {
        item.cause = Some(format!("{} [{}]: {}", cause.title, cause.id, cause.why));
        item.remedy.push(cause.remedy.clone());
    }
}

/// How the time of a cell was spent, as far as it is known.
fn spans(began: Duration, ran_from: Duration, ended: Duration, report: Option<&Value>) -> Vec<Span> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut spans =
        vec![Span { name: "container made".to_owned(), from_ms: ms(began), ms: ms(ran_from.saturating_sub(began)) }];
    let mut from = ms(ran_from);
    let said = |path: &str| report.and_then(|report| report.pointer(path)?.as_u64()).unwrap_or_default();
    for (name, took) in [(Span::DAEMON, said("/launch/ready_ms")), ("proof", said("/verification/ms"))] {
        if took > 0 {
            spans.push(Span { name: name.to_owned(), from_ms: from, ms: took });
            from += took;
        }
    }
    let rest = ms(ended).saturating_sub(from);
    spans.push(Span { name: "looking, mending, stopping".to_owned(), from_ms: from, ms: rest });
    spans
}

/// Turns a cell that is to fail around.
fn expect_failure(items: &mut Vec<Item>) {
    let mut found = false;
    for item in items.iter_mut().filter(|item| item.blocks(false) && item.id != super::report::UNTOLD) {
        found = true;
        item.severity = Severity::Info;
        item.summary += " (as expected)";
    }
    if !found {
        let summary = "nothing was wrong, and something should have been";
        items.push(Item::new("gate.expectation", Outcome::Fail, Severity::Blocking, summary));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(entrypoint: Entrypoint) -> Order {
        let (daemon_flags, look) = (Vec::new(), Vec::new());
        Order { image: String::new(), entrypoint, daemon_flags, look, timeout: Duration::ZERO, jobs: 1 }
    }

    #[test]
    fn what_the_user_wants_of_a_look_and_of_the_daemon_goes_in() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut order = order(Entrypoint::Dindcheck);
        assert_eq!(options(&order), [""; 0]);
        order.look = words(&["--inner", "28.5.2"]);
        assert_eq!(options(&order), ["--inner", "28.5.2"]);
        order.daemon_flags = words(&["--mtu", "1400"]);
        assert_eq!(options(&order), ["--inner", "28.5.2", "--", "--mtu", "1400"]);
    }

    #[test]
    fn the_time_of_a_cell_is_reported_without_a_gap() {
        let spans = |report: Option<&Value>| {
            let at = Duration::from_millis;
            let spans = super::spans(at(100), at(150), at(1000), report);
            spans.into_iter().map(|span| (span.name, span.from_ms, span.ms)).collect::<Vec<_>>()
        };
        let span = |name: &str, from: u64, ms: u64| (name.to_owned(), from, ms);
        let [made, rest] = ["container made", "looking, mending, stopping"];
        assert_eq!(spans(None), [span(made, 100, 50), span(rest, 150, 850)]);
        let report = serde_json::json!({ "launch": { "ready_ms": 300 }, "verification": { "ms": 400 } });
        let [ready, proof] = ["daemon ready", "proof"];
        let all = [span(made, 100, 50), span(ready, 150, 300), span(proof, 450, 400), span(rest, 850, 150)];
        assert_eq!(spans(Some(&report)), all);
        let long = serde_json::json!({ "launch": { "ready_ms": 2000 }, "verification": {} });
        assert_eq!(spans(Some(&long)), [span(made, 100, 50), span(ready, 150, 2000), span(rest, 2150, 0)]);
    }

    #[test]
    fn a_cell_that_shall_fail_is_turned_around() {
        let item = |id: &str, severity| Item::new(id, Outcome::Fail, severity, "x");
        let turned = |mut items: Vec<Item>| {
            expect_failure(&mut items);
            items.into_iter().map(|item| (item.id, item.severity, item.summary)).collect::<Vec<_>>()
        };
        let told = |id: &str, severity, summary: &str| (id.to_owned(), severity, summary.to_owned());
        let (blocking, warning, info) = (Severity::Blocking, Severity::Warning, Severity::Info);
        assert_eq!(
            turned(vec![item("a", blocking), item("b", warning)]),
            [told("a", info, "x (as expected)"), told("b", warning, "x")]
        );
        let nothing = "nothing was wrong, and something should have been";
        assert_eq!(turned(vec![item("b", warning)])[1], told("gate.expectation", blocking, nothing));
        // That nothing could be told is no failure of the image.
        let untold = turned(vec![untold("e")]);
        assert_eq!((untold.len(), untold[0].2.contains("as expected")), (2, false));
    }

    #[test]
    fn what_a_log_says_of_a_failed_start_is_added() {
        let mut item = Item::new("launch", Outcome::Fail, Severity::Blocking, "x");
        explain(&mut item, "");
        assert!(item.evidence.is_empty() && item.cause.is_none() && item.remedy.is_empty());
        explain(&mut item, "fine\nfailed to start daemon: process with PID 30 is still running\n");
        assert_eq!(item.evidence[0].location, "line 2 of its log");
        assert!(item.cause.unwrap().contains("[stale-docker-pid]") && item.remedy.len() == 1);
    }

    #[test]
    fn a_report_has_to_be_what_the_container_ended_with() {
        let report = |status: i64| serde_json::json!({ "exit_status": status });
        let ours = order(Entrypoint::Dindcheck);
        let is_odd = |drill, status, said| contradiction(&ours, drill, status, Some(&report(said))).is_some();
        assert!(!is_odd(Drill::None, Some(0), 0) && !is_odd(Drill::None, Some(4), 4));
        assert!(is_odd(Drill::None, Some(4), 0) && !is_odd(Drill::None, None, 0) && is_odd(Drill::Stop, Some(143), 0));
        assert!(!is_odd(Drill::Stop, Some(137), 0) && is_odd(Drill::None, Some(137), 0));
        assert!(contradiction(&order(Entrypoint::Theirs), Drill::None, Some(1), Some(&report(0))).is_none());
        assert!(contradiction(&ours, Drill::None, Some(1), None).is_none());
    }
}
