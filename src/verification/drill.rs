//! The restart drill: the daemon is killed while a container runs, and started again. The engine has to find that
//! container, run it again and run a new one, with nothing in its way that the killed one left.

use std::time::{Duration, Instant};

use super::inside;
use super::nest::Nest;
use super::scenario::{self, Ledger, Refused, Scenario, blocking, judge};
use super::{STATUS, Verification};
use crate::engine::api::Api;
use crate::engine::ours::{Left, Owner, VERIFICATION, Whose};
use crate::finding::{Evidence, Verdict};
use crate::profile::Profile;

/// How long a container may take to end when it is asked to. It does so at once.
const GRACE_S: i32 = 5;

/// Starts the container that is there when the daemon is killed.
///
/// # Errors
/// Why there is none.
pub async fn plant(api: &Api, profile: &Profile) -> Result<(), Verdict> {
    let planted = async {
        let nest = Nest::new(api, profile, Owner::this(api)).await?;
        let id = api.create(&nest.spec("drill", &["stay"])).await?;
        api.start(&id).await?;
        api.follow(&id).line(inside::READY).await?;
        Ok::<_, Refused>(())
    };
    planted.await.map_err(|Refused(verdict)| *verdict)
}

/// What has become of it, once there is a daemon again; removes all that was made.
pub async fn prove(api: &Api, profile: &Profile, id: &'static str) -> Verification {
    let start = Instant::now();
    let ledger = Ledger::default();
    ledger.prove(id, resume(api, profile)).await;
    if let Ok(left) = Left::find(api, VERIFICATION, &Owner::this(api), Whose::OwnAndDead).await {
        // What cannot be removed is found, and said, by the next verification.
        let _ = left.remove(api).await;
    }
    told(ledger, start.elapsed())
}

/// A drill that came to nothing.
pub fn failed(id: &'static str, verdict: Verdict, took: Duration) -> Verification {
    let ledger = Ledger::default();
    ledger.write(id, verdict, took);
    told(ledger, took)
}

fn told(ledger: Ledger, took: Duration) -> Verification {
    let scenarios: Vec<Scenario> = scenario::close(ledger.into_inner());
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    Verification { scenarios, storage_driver: String::new(), ms }
}

async fn resume(api: &Api, profile: &Profile) -> Result<(Verdict, ()), Refused> {
    let made = Left::find(api, VERIFICATION, &Owner::this(api), Whose::Own).await?;
    let Some(planted) = made.containers().first().cloned() else {
        return Err(blocking("the container that ran when the daemon was killed is not known any more").into());
    };
    let nest = Nest::new(api, profile, Owner::this(api)).await?;
    let found = api.state(&planted).await?;
    // With live-restore it has run on; else the daemon has ended it.
    if !found.running {
        api.start(&planted).await?;
        api.follow(&planted).line(inside::READY).await?;
    }
    api.stop(&planted, GRACE_S).await?;
    let status = api.state(&planted).await?.exit_code;
    api.remove_container(&planted).await?;
    nest.run(&nest.spec("after", &[])).await?;
    let evidence = vec![
        Evidence {
            location: "the container of before".to_owned(),
            value: if found.running { "running on" } else { "ended" }.to_owned(),
            wanted: None,
        },
        Evidence {
            location: "its exit status, when it had run again and was asked to end".to_owned(),
            value: status.map_or_else(|| "none".to_owned(), |status| status.to_string()),
            wanted: Some(STATUS.to_string()),
        },
    ];
    Ok((judge("a container of before ran again, and a new one ran", evidence), ()))
}
