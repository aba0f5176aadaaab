//! Who made something in the inner engine: the verification that runs, or one that was killed.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::engine::api::{Api, ApiError};
use crate::process::stat::Stat;

/// The label of everything that verification makes; its value says which process made it.
pub(super) const LABEL: &str = "dindcheck.verification";

/// How long a removal that is refused is tried again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long is waited before each time.
const PAUSE: Duration = Duration::from_millis(50);

/// A process, told apart from a later one with the same number by its pid namespace and the time of its start
/// (/proc/PID/stat, field 22, in ticks since boot: proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    namespace: String,
    pid: String,
    started: String,
}

impl Owner {
    /// This process.
    pub(crate) fn this() -> Self {
        let pid = std::process::id().to_string();
        Self { namespace: namespace(), started: started(&pid).unwrap_or_default(), pid }
    }

    pub(crate) fn parse(label: &str) -> Option<Self> {
        let mut parts = label.split('-').map(str::to_owned);
        Some(Self { namespace: parts.next()?, pid: parts.next()?, started: parts.next()? })
    }

    /// Whether it was a process of this pid namespace, which has ended. Of others nothing can be told.
    pub(crate) fn has_ended_here(&self) -> bool {
        self.namespace == namespace() && !self.is_alive()
    }

    /// Whether it may still be at work. One of another pid namespace has ended with its container: the daemon and
    /// those who verify it share one.
    pub(super) fn is_alive(&self) -> bool {
        self.namespace == namespace() && started(&self.pid).is_some_and(|started| started == self.started)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.namespace, self.pid, self.started)
    }
}

fn namespace() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

/// When a process was started; none: there is none.
fn started(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(Stat::parse(&stat)?.started_ticks()?.to_string())
}

/// What of ours is in the engine, by kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left {
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
    images: Vec<String>,
}

impl Left {
    /// Looks for what carries a label, and `whose` holds for its value.
    pub(crate) async fn find(api: &Api, label: &str, whose: impl Fn(&str) -> bool) -> Result<Self, ApiError> {
        let (containers, networks, volumes, images) = futures_util::future::join4(
            api.labelled_containers(label),
            api.labelled_networks(label),
            api.labelled_volumes(label),
            api.labelled_images(label),
        )
        .await;
        let ids = |made: Vec<crate::engine::api::Made>| {
            made.into_iter().filter(|one| whose(&one.label)).map(|one| one.id).collect()
        };
        Ok(Self {
            containers: ids(containers?),
            networks: ids(networks?),
            volumes: ids(volumes?),
            images: ids(images?),
        })
    }

    /// What verifications that were killed have left.
    pub(super) async fn of_the_dead(api: &Api) -> Result<Self, ApiError> {
        Self::find(api, LABEL, |label| Owner::parse(label).is_none_or(|owner| !owner.is_alive())).await
    }

    /// What this owner has made, or one who was killed.
    pub(super) async fn of(api: &Api, owner: &Owner) -> Result<Self, ApiError> {
        let own = owner.to_string();
        Self::find(api, LABEL, |label| label == own || Owner::parse(label).is_none_or(|owner| !owner.is_alive())).await
    }

    /// Removes as much as it can, the users of a thing before the thing; gives the first error.
    pub(crate) async fn remove(&self, api: &Api) -> Result<(), ApiError> {
        let containers = self.containers.iter().map(|id| persist(async || api.remove_container(id).await.map(drop)));
        let containers = join_all(containers).await;
        let networks = join_all(self.networks.iter().map(|id| persist(async || api.remove_network(id).await))).await;
        let volumes = join_all(self.volumes.iter().map(|id| persist(async || api.remove_volume(id).await))).await;
        let images = persist(async || remove_images(api, self.images.clone()).await).await;
        containers.into_iter().chain(networks).chain(volumes).chain([images]).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    /// What it is, for a report.
    pub(crate) fn names(&self) -> Vec<String> {
        [
            ("container", &self.containers),
            ("network", &self.networks),
            ("volume", &self.volumes),
            ("image", &self.images),
        ]
        .into_iter()
        .flat_map(|(kind, ids)| ids.iter().map(move |id| format!("{kind} {id}")))
        .collect()
    }
}

/// Tries a removal again that was refused: for a moment an engine, above all an old one, may still be busy with the thing.
pub(super) async fn persist<T>(remove: impl AsyncFn() -> Result<T, ApiError>) -> Result<T, ApiError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match remove().await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            removed => return removed,
        }
    }
}

/// Removes images. One from which another was made goes after that one, so that it is tried again.
async fn remove_images(api: &Api, mut images: Vec<String>) -> Result<(), ApiError> {
    while !images.is_empty() {
        let (mut left, mut refusal) = (Vec::new(), None);
        for image in &images {
            if let Err(error) = api.remove_image(image).await {
                left.push(image.clone());
                refusal = Some(error);
            }
        }
        match refusal {
            Some(error) if left.len() == images.len() => return Err(error),
            _ => images = left,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_told_from_the_dead() {
        let own = Owner::this();
        assert!(own.is_alive());
        assert_eq!(Owner::parse(&own.to_string()), Some(own.clone()));
        assert!(!Owner { started: "1".to_owned(), ..own.clone() }.is_alive());
        assert!(!Owner { namespace: "1".to_owned(), ..own }.is_alive());
        assert_eq!(Owner::parse("1"), None);
    }
}
