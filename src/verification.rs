//! The proof: real containers, from an image that is made of this very binary, so that nothing is pulled.
//!
//! Each scenario proves one claim (see [`scenario::CLAIMS`]). Those that need a container for themselves run one; the
//! others share a container that works for all of them. All of that goes on side by side on one thread.

mod api;
mod bisect;
mod build;
mod busy;
mod cgroup;
pub mod drill;
mod files;
mod given;
pub mod image;
pub mod inside;
mod lifecycle;
mod limits;
mod nest;
mod network;
pub(crate) mod packet;
mod paths;
mod privileged;
mod quick;
mod run;
pub mod scenario;
mod scratch;
mod security;
mod work;

use std::future::Future;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use api::WayIn;

use crate::engine::api::Api;
use crate::engine::ours::{Left, Owner, VERIFICATION, Whose};
use crate::finding::{Outcome, Verdict};
use crate::profile::Profile;
use nest::Nest;
pub use network::Around;
use network::Outside;
pub use scenario::Scenario;
use scenario::{CLAIMS, Ledger, Refused, blocking};

/// The exit status that a test container ends with when it did its work: one that no accident gives.
pub const STATUS: u8 = 42;
/// How long verification of our own image may take in all.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long one request may take. On a busy machine an engine takes many seconds to start a container, which is no fault
/// of its.
const REQUEST: Duration = Duration::from_secs(60);

/// How much is proved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Depth {
    /// What the nest can get wrong: the claims of [`scenario::CLAIMS`] that are quick.
    Quick,
    /// All claims.
    #[default]
    Full,
    /// What the options name, and nothing else.
    Named,
}

/// What is proved, beyond the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// How much.
    pub depth: Depth,
    /// Whether the daemon is told to write no rules of the firewall (`--iptables=false`): what needs them is no failure
    /// of its.
    pub without_rules: bool,
    /// The user's image to run too: a name, or the file of a tar.
    pub image: Option<String>,
    /// What to run in it.
    pub command: Option<Vec<String>>,
    /// Directories of ours that containers have to see.
    pub paths: Vec<String>,
    /// The TCP addresses behind closed doors.
    pub ways: Vec<WayIn>,
}

/// All that was proved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The scenarios, in the order of [`scenario::CLAIMS`].
    pub scenarios: Vec<Scenario>,
    /// The storage driver that the daemon uses.
    pub storage_driver: String,
    /// How long it took in all, in milliseconds.
    pub ms: u64,
}

impl Verification {
    /// Whether all that is required holds.
    pub fn passed(&self) -> bool {
        !self.scenarios.iter().any(Scenario::blocks)
    }

    /// Adds what was proved later.
    pub fn extend(&mut self, later: Self) {
        self.scenarios.extend(later.scenarios);
        self.ms += later.ms;
    }
}

/// Proves the daemon, to which `around` is what is beyond its container. What takes long is told meanwhile.
pub async fn verify(
    api: &Api,
    profile: &Profile,
    options: &Options,
    around: Around,
    tell: &dyn Fn(&str),
) -> Verification {
    let start = Instant::now();
    let patient = api.with_timeout(REQUEST);
    let api = patient.as_ref().unwrap_or(api);
    let mut attempt = Attempt::make(api, profile, options, around, tell).await;
    if attempt.is_undecided() {
        tell(&format!("{}: proving it again", attempt.disturbance()));
        attempt = attempt.decided_by(Attempt::make(api, profile, options, Around::look(), tell).await);
    }
    let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Verification { scenarios: scenario::close(attempt.scenarios), storage_driver: attempt.storage_driver, ms }
}

/// All scenarios, once.
struct Attempt {
    scenarios: Vec<Scenario>,
    storage_driver: String,
    /// What of ours someone else removed, if something failed.
    gone: Vec<String>,
}

impl Attempt {
    async fn make(api: &Api, profile: &Profile, options: &Options, around: Around, tell: &dyn Fn(&str)) -> Self {
        let start = Instant::now();
        let owner = Owner::this(api);
        let prepared = async {
            // What an earlier run of ours left behind when it was killed. Another one may be removing it too, so that it
            // is at the end that it has to be gone.
            scratch::remove_dead(&owner);
            let dead =
                async { Ok::<_, Refused>(Left::find(api, VERIFICATION, &owner, Whose::Dead).await?.remove(api).await) };
            let nest = Nest::new(api, profile, owner.clone());
            // Where images have no labels, all of ours have one name.
            if api.labels_images() {
                let (dead, nest) = futures_util::future::join(dead, nest).await;
                dead.and(nest)
            } else {
                let _ = dead.await?;
                nest.await
            }
        };
        let mut gone = Vec::new();
        let (ledger, storage_driver) = match tokio::time::timeout(DEADLINE, prepared).await {
            Ok(Ok(mut nest)) => {
                nest.ledger.without_rules = options.without_rules;
                if tokio::time::timeout(DEADLINE, scenarios(&nest, options, around.seen())).await.is_err() {
                    let verdict = blocking(format!("verification was not done within {} s", DEADLINE.as_secs()));
                    nest.ledger.write("run", verdict, start.elapsed());
                }
                paths::prove(&nest, &options.paths).await;
                api::prove(&nest, &options.ways).await;
                given::prove(&nest, options, tell).await;
                if nest.ledger.any_failed() {
                    gone = nest.gone().await;
                }
                if gone.is_empty() && nest.ledger.failed("run") {
                    bisect::prove(&nest).await;
                }
                let driver = std::mem::take(&mut nest.info.storage_driver);
                (nest.ledger, driver)
            }
            Ok(Err(Refused(verdict))) => (without_image(*verdict, options.depth, start), String::new()),
            Err(_) => {
                let verdict = blocking("the test image was not imported in time");
                (without_image(verdict, options.depth, start), String::new())
            }
        };
        clean(api, &owner, &ledger).await;
        Self { scenarios: ledger.into_inner(), storage_driver, gone }
    }

    /// Whether a failure may have a cause outside.
    fn is_undecided(&self) -> bool {
        !self.gone.is_empty()
    }

    fn disturbance(&self) -> String {
        format!("another client removed {}, which dindcheck had made", self.gone.join(", "))
    }

    /// Takes what failed from a second attempt; if that was disturbed too, it cannot be told.
    fn decided_by(mut self, again: Self) -> Self {
        self.scenarios.retain(|scenario| scenario.outcome != Outcome::Fail && scenario.id != "leftovers");
        let (undecided, disturbance) = (again.is_undecided(), again.disturbance());
        for mut scenario in again.scenarios {
            if self.scenarios.iter().any(|one| one.id == scenario.id) {
                continue;
            }
            if undecided && scenario.outcome == Outcome::Fail {
                scenario.undecided(&format!("tried twice, and each time {disturbance}"));
            }
            self.scenarios.push(scenario);
        }
        Self { gone: again.gone, ..self }
    }
}

async fn scenarios(nest: &Nest<'_>, options: &Options, outside: impl Future<Output = Outside>) {
    if options.depth == Depth::Named {
        return;
    }
    files::storage(nest);
    match options.depth {
        // Boxed: together they would be larger than the stack of a small thread.
        Depth::Quick => Box::pin(quick::prove(nest, outside)).await,
        Depth::Full | Depth::Named => {
            Box::pin(futures_util::future::join5(
                run::prove(nest),
                work::prove(nest, outside),
                futures_util::future::join(limits::prove(nest), limits::oom(nest)),
                privileged::prove(nest),
                build::build(nest),
            ))
            .await;
        }
    }
}

/// Without the image nothing can be run at all.
fn without_image(verdict: Verdict, depth: Depth, start: Instant) -> Ledger {
    let ledger = Ledger::default();
    ledger.write("run", verdict, start.elapsed());
    let others = CLAIMS
        .iter()
        .filter(|claim| !["run", "paths", "api.tcp", "test-image", "bisect", "leftovers"].contains(&claim.id));
    for claim in others.filter(|claim| {
        !claim.id.starts_with("drill.") && (claim.quick && depth != Depth::Named || depth == Depth::Full)
    }) {
        ledger.write(claim.id, Verdict::unknown(scenario::NO_IMAGE), Duration::ZERO);
    }
    ledger
}

/// Removes what is left of ours, and looks whether it is gone.
async fn clean(api: &Api, owner: &Owner, ledger: &Ledger) {
    let scenario = async {
        let find = || Left::find(api, VERIFICATION, owner, Whose::OwnAndDead);
        let removed = find().await?.remove(api).await;
        let left = find().await?;
        let mut verdict = match removed {
            _ if left.is_empty() => Verdict::pass("no container, image, network or volume of ours is left"),
            Err(error) => blocking(error.to_string()).saw("left", left.names().join(", ")),
            Ok(()) => blocking(format!("still there after it was removed: {}", left.names().join(", "))),
        };
        for other in left.unproved() {
            verdict = verdict.saw("not ours, and left", other.as_str());
        }
        Ok((verdict, ()))
    };
    ledger.prove("leftovers", scenario).await;
}
