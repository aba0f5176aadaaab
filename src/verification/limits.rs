//! Limits: set through the API, read back in the container's cgroup, and enforced by the kernel.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Depth;
use super::inside::{self, CPU_LOCATION, LimitsOrder, STARVED};
use super::nest::{NO_NETWORK, Nest};
use super::scenario::{Refused, judge};
use super::work::Work;
use crate::engine::api::container::{Run, Spec, State};
use crate::finding::{Evidence, Outcome, Severity, Verdict};
use crate::version::ApiVersion;

/// Enough for the container's own start, and quick to fill twice.
const MEMORY: i64 = 48 << 20;
const PIDS: i64 = 24;
/// A tenth of a CPU is soon used up, and leaves enough for the start.
const MILLICPUS: i64 = 100;
/// What is only read back slows no start down.
const MILLICPUS_READ_BACK: i64 = 900;

/// All limits, in one container of their own.
pub(super) async fn prove(nest: &Nest<'_>) {
    let order = order(nest, Depth::Full);
    let ran = async {
        let text = serde_json::to_string(&order).unwrap_or_default();
        let mut spec = nest.spec("limits", &["limits", &text]);
        spec.network = Some(NO_NETWORK.to_owned());
        set(&mut spec, &order);
        nest.run(&spec).await
    };
    write(nest, &order, &ran.await);
}

/// What is asked of a container: what this daemon cannot set is not.
pub(super) fn order(nest: &Nest<'_>, depth: Depth) -> LimitsOrder {
    let able = |supported: Option<bool>| supported != Some(false);
    let enforced = depth == Depth::Full;
    LimitsOrder {
        memory: Some(MEMORY).filter(|_| able(nest.info.memory_limit)),
        pids: Some(PIDS).filter(|_| able(nest.info.pids_limit) && nest.has(PIDS_SINCE, "").is_ok()),
        millicpus: Some(if enforced { MILLICPUS } else { MILLICPUS_READ_BACK }).filter(|_| able(nest.info.cpu_limit)),
        enforced,
    }
}

/// Gives a container its limits.
pub(super) fn set(spec: &mut Spec, order: &LimitsOrder) {
    (spec.memory, spec.pids, spec.millicpus) = (order.memory, order.pids, order.millicpus);
}

/// Writes down what came of the container that has them.
pub(super) fn write(nest: &Nest<'_>, order: &LimitsOrder, ran: &Result<(Run, State), Refused>) {
    for (id, supported) in [
        ("limits.memory", nest.info.memory_limit),
        ("limits.cpu", nest.info.cpu_limit),
        ("limits.pids", nest.info.pids_limit),
    ] {
        let verdict = match ran {
            _ if id == "limits.pids" && nest.has(PIDS_SINCE, "limit of processes").is_err() => nest
                .has(PIDS_SINCE, "limit of processes")
                .err()
                .map_or_else(|| Verdict::unknown(""), |Refused(verdict)| *verdict),
            _ if nest.info.no_cgroups => no_cgroups(nest),
            // The daemon leaves out what it cannot set, so that the container runs without.
            _ if supported == Some(false) => unsupported(nest, id),
            Ok(ran) => one(nest, order, id, ran),
            Err(Refused(verdict)) => (**verdict).clone(),
        };
        let took = ran.as_ref().ok().and_then(|(run, _)| inside::told(&run.stdout, id)).map_or(0, |told| told.ms);
        nest.ledger.write(id, verdict, Duration::from_millis(took));
    }
}

/// HostConfig.PidsLimit came with API 1.23 (moby docs/reference/api/docker_remote_api.md, v1.23).
const PIDS_SINCE: ApiVersion = ApiVersion::new(1, 23);

fn one(nest: &Nest<'_>, order: &LimitsOrder, id: &'static str, (ran, state): &(Run, State)) -> Verdict {
    let mut told = match nest.told(ran, id) {
        Ok(told) => told,
        Err(Refused(verdict)) => return *verdict,
    };
    let set = |location: &str, value: Option<i64>, wanted: i64| Evidence {
        location: location.to_owned(),
        value: value.map_or_else(|| "nothing".to_owned(), |value| value.to_string()),
        wanted: Some(wanted.to_string()),
    };
    let done = if order.enforced { "set, read back and enforced" } else { "set and read back" };
    match id {
        "limits.memory" => {
            told.evidence.push(set("HostConfig.Memory", state.memory, MEMORY));
            told.evidence.push(Evidence {
                location: "State.OOMKilled".to_owned(),
                value: state.oom_killed.to_string(),
                wanted: None,
            });
            judge(format!("{} MiB are set, read back and enforced", MEMORY >> 20), told.evidence)
        }
        "limits.pids" => {
            told.evidence.push(set("HostConfig.PidsLimit", state.pids, PIDS));
            judge(format!("{PIDS} processes are {done}"), told.evidence)
        }
        _ if told.value(CPU_LOCATION) == Some(STARVED) => {
            told.evidence.retain(|one| one.location != CPU_LOCATION);
            match judge("", told.evidence) {
                Verdict { outcome: Outcome::Pass, evidence, .. } => {
                    Verdict::unknown("set and read back; the machine is too busy to give as much CPU time as the limit")
                        .evidence(evidence)
                }
                verdict => verdict,
            }
        }
        _ => {
            let millicpus = order.millicpus.unwrap_or_default();
            judge(format!("{millicpus} thousandths of a CPU are {done}"), told.evidence)
        }
    }
}

/// Whether the daemon sees what the work container uses, which is at work.
pub(super) async fn stats(nest: &Nest<'_>, work: &Work) {
    let scenario = async {
        nest.has(STATS_SINCE, "statistics by the piece")?;
        if nest.info.no_cgroups {
            return Err(no_cgroups(nest).into());
        }
        let stats = nest.api.stats(&work.id).await?;
        let seen = |location: &str, value: u64| Evidence {
            location: format!("API: stats: {location}"),
            value: if value == 0 { "nothing" } else { "some" }.to_owned(),
            wanted: Some("some".to_owned()),
        };
        let mut evidence = vec![seen("cpu_stats.cpu_usage.total_usage", stats.cpu_ns)];
        if nest.info.memory_limit != Some(false) {
            evidence.push(seen("memory_stats.usage", stats.memory));
        }
        let verdict = judge("the daemon sees what a running container uses", evidence);
        Ok((unless_passed(verdict), ()))
    };
    nest.ledger.prove("stats", scenario).await;
}

/// GET /containers/{id}/stats came with API 1.17, and `stream=false` with 1.19 (moby
/// docs/reference/api/docker_remote_api.md, v1.19).
const STATS_SINCE: ApiVersion = ApiVersion::new(1, 19);
/// How long the daemon may take to hear of a container that ran out of memory.
const OOM_WAIT: Duration = Duration::from_secs(4);
/// How often it is tried: on a busy v1 host 20.10.5 was seen to report nothing of one such container.
const OOM_ATTEMPTS: u32 = 3;
/// How often it is asked.
const OOM_PAUSE: Duration = Duration::from_millis(50);

/// Whether the daemon reports a container that ran out of memory.
pub(super) async fn oom(nest: &Nest<'_>) {
    let scenario = async {
        if nest.info.no_cgroups {
            return Err(no_cgroups(nest).into());
        }
        if nest.info.memory_limit == Some(false) {
            return Err(Verdict::not_applicable("the daemon cannot limit memory").into());
        }
        let mut reported = Verdict::unknown("not tried");
        for attempt in 0..OOM_ATTEMPTS {
            let mut spec = nest.spec(&format!("oom-{attempt}"), &["hog", &(2 * MEMORY).to_string()]);
            (spec.memory, spec.network) = (Some(MEMORY), Some(NO_NETWORK.to_owned()));
            let container = nest.create(&spec).await?;
            let verdict = until_reported(nest, &container).await;
            nest.remove(&container).await;
            reported = verdict?;
            if reported.outcome != Outcome::Fail {
                break;
            }
        }
        Ok((reported, ()))
    };
    nest.ledger.prove("oom", scenario).await;
}

async fn until_reported(nest: &Nest<'_>, container: &str) -> Result<Verdict, Refused> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    nest.api.start(container).await?;
    let status = nest.api.wait(container).await?;
    if status != KILLED {
        return Ok(
            Verdict::unknown("the limit was not enforced: see limits.memory").saw("exit status", status.to_string())
        );
    }
    // The kernel reports it by another way than the container's end. Either report proves that the way is open: up to 23.0
    // the daemon forgets the state if it hears of the end first (moby v20.10.24 daemon/monitor.go: handleContainerExit).
    let deadline = Instant::now() + OOM_WAIT;
    loop {
        let event = nest.api.reported_oom(container, since).await?;
        let state = nest.api.state(container).await?.oom_killed;
        let seen = event || state;
        if seen || Instant::now() > deadline {
            let report = |location: &str, reported: bool| Evidence {
                location: location.to_owned(),
                value: if reported { "reported" } else { "not reported" }.to_owned(),
                wanted: (!seen).then(|| "reported".to_owned()),
            };
            let evidence = vec![report("State.OOMKilled", state), report("API: events: oom", event)];
            return Ok(unless_passed(judge("a container that ran out of memory is reported as such", evidence)));
        }
        tokio::time::sleep(OOM_PAUSE).await;
    }
}

/// The exit status of what SIGKILL ended.
const KILLED: i64 = 128 + 9;

fn unless_passed(verdict: Verdict) -> Verdict {
    if verdict.outcome == Outcome::Pass {
        return verdict;
    }
    verdict
        .because(
            "The daemon does not find its containers' cgroups below /sys/fs/cgroup as /proc/PID/cgroup names them.",
        )
        .remedy("docker run --cgroupns=private … on a v2 host; leave out -v /sys/fs/cgroup:/sys/fs/cgroup")
}

fn no_cgroups(nest: &Nest<'_>) -> Verdict {
    let verdict = Verdict::not_applicable("a rootless daemon without systemd sets no limits")
        .saw("API: info: CgroupDriver", "none")
        .remedy(
            "docker run --memory, --cpus and --pids-limit for the outer container hold for all inner ones together",
        );
    nest.info.warnings.iter().fold(verdict, |verdict, warning| verdict.saw("API: info: Warnings", warning.clone()))
}

fn unsupported(nest: &Nest<'_>, id: &str) -> Verdict {
    let mut verdict = Verdict::fail(Severity::Warning, "the daemon cannot set this limit and runs containers without")
        .saw("API: info", format!("{} is not supported", id.trim_start_matches("limits.")))
        .because("Its cgroup controller is not mounted here, or not delegated.");
    for warning in &nest.info.warnings {
        verdict = verdict.saw("API: info: Warnings", warning.clone());
    }
    verdict
}
