//! The proof: a real container, from an image that is made of this very binary, so that nothing is pulled.

pub mod image;
pub mod inside;

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::engine::api::{Api, ApiError, Run};
use crate::finding::{Evidence, Outcome};

/// The label of everything that verification makes, so that leftovers are known as ours.
const LABEL: &str = "dindcheck.verification";
/// The exit status that the test container has to end with: one that no accident gives.
pub const STATUS: u8 = 42;
/// How long verification may take in all.
const DEADLINE: Duration = Duration::from_secs(60);

/// One thing that the test container proved, or did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scenario {
    /// Its name.
    pub id: &'static str,
    /// Pass or fail.
    pub outcome: Outcome,
    /// One line: what is the case.
    pub summary: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// All that was proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The scenarios, in the order in which they were run.
    pub scenarios: Vec<Scenario>,
    /// The storage driver that the daemon uses.
    pub storage_driver: String,
}

impl Verification {
    /// Whether all that was tried succeeded.
    pub fn passed(&self) -> bool {
        self.scenarios.iter().all(|scenario| scenario.outcome != Outcome::Fail)
    }
}

/// Proves the daemon.
pub async fn verify(api: &Api) -> Verification {
    let start = Instant::now();
    let run = match tokio::time::timeout(DEADLINE, run_scenario(api)).await {
        Ok(run) => run,
        Err(_) => Err(Failure { summary: format!("not done within {} s", DEADLINE.as_secs()), evidence: Vec::new() }),
    };
    let ms = millis(start);
    let scenario = match run {
        Ok(evidence) => Scenario {
            id: "run",
            outcome: Outcome::Pass,
            summary: "a container was created, ran, said what it should, and is gone".to_owned(),
            evidence,
            ms,
        },
        Err(Failure { summary, evidence }) => Scenario { id: "run", outcome: Outcome::Fail, summary, evidence, ms },
    };
    Verification { scenarios: vec![scenario], storage_driver: api.storage_driver().await.unwrap_or_default() }
}

/// Milliseconds since an instant.
fn millis(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

struct Failure {
    summary: String,
    evidence: Vec<Evidence>,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let evidence = Evidence { location: format!("API: {}", error.verb), value: error.reason.clone(), wanted: None };
        Self { summary: error.to_string(), evidence: vec![evidence] }
    }
}

/// Create, start, output on both streams, exit status, removed, nothing left.
async fn run_scenario(api: &Api) -> Result<Vec<Evidence>, Failure> {
    // What an earlier run of ours left behind when it was killed.
    for left in api.labelled(LABEL).await? {
        api.remove_container(&left).await?;
    }
    // A fresh name each time: up to 1.10 a create that failed keeps its name.
    let unique = SystemTime::now().duration_since(UNIX_EPOCH).map(|age| age.as_nanos()).unwrap_or_default();
    let name = format!("dindcheck-{}-{unique}", std::process::id());
    let tar = image::tar().map_err(|error| Failure {
        summary: format!("cannot make the test image from /proc/self/exe: {error}"),
        evidence: Vec::new(),
    })?;
    let image = api.import("dindcheck-verification", &unique.to_string(), tar).await?;
    let result = run_container(api, &name, &image).await;
    // Removed whatever happened, and a failure to do so is one of the scenario.
    let container_removed = api.remove_container(&name).await;
    let image_removed = api.remove_image(&image).await;
    let evidence = result?;
    container_removed?;
    image_removed?;
    let left = api.labelled(LABEL).await?;
    if !left.is_empty() {
        return Err(Failure { summary: format!("the test container is still there: {}", left.join(", ")), evidence });
    }
    Ok(evidence)
}

async fn run_container(api: &Api, name: &str, image: &str) -> Result<Vec<Evidence>, Failure> {
    let labels = HashMap::from([(LABEL.to_owned(), "1".to_owned())]);
    let container = api.create(name, image, &[image::PATH, inside::COMMAND], labels).await?;
    let Run { stdout, stderr, status } = api.run(&container).await?;
    let evidence = [
        ("exit status", status.to_string(), STATUS.to_string()),
        ("standard output", stdout.trim().to_owned(), inside::STDOUT.to_owned()),
        ("standard error", stderr.trim().to_owned(), inside::STDERR.to_owned()),
    ];
    let wrong: Vec<&str> =
        evidence.iter().filter(|(_, value, wanted)| value != wanted).map(|(location, ..)| *location).collect();
    let summary = format!("the test container ran, with the wrong {}", wrong.join(", "));
    let failed = !wrong.is_empty();
    let evidence = evidence
        .map(|(location, value, wanted)| Evidence { location: location.to_owned(), value, wanted: Some(wanted) })
        .to_vec();
    if failed { Err(Failure { summary, evidence }) } else { Ok(evidence) }
}
