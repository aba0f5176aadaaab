//! Stopping the inner containers through the API.

use std::time::Duration;

use super::api::container::State;
use super::api::{Api, ApiError};

/// The status of a process that SIGKILL ended.
const KILLED: i64 = 128 + 9;
/// The policy of those that start with the daemon unless somebody has stopped them.
const UNLESS_STOPPED: &str = "unless-stopped";

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stopped {
    /// How long each was given, in seconds.
    pub grace_s: i32,
    /// The names of those that had to be killed.
    pub killed: Vec<String>,
    /// The names of those that only the daemon itself may stop, and their first processes.
    pub left: Vec<(String, i32)>,
}

/// Stops all running containers, side by side, each in `grace_s`, or in `shared_grace_s` where some are left to the
/// daemon after that: whoever stops one of those that run `unless-stopped` has stopped it for good, and it would not
/// come back with the daemon. One that cannot be stopped is left to the daemon, too.
///
/// # Errors
/// No connection, or no list of containers.
pub async fn stop_all(socket: &str, timeout: Duration, grace_s: i32, shared_grace_s: i32) -> Result<Stopped, ApiError> {
    let api = Api::connect(socket, timeout).await?;
    let inspect = async |container: String| (api.state(&container).await.ok(), container);
    let running = futures_util::future::join_all(api.running().await?.into_iter().map(inspect)).await;
    // With live-restore the daemon leaves its containers running when it ends.
    let restores = async || api.info().await.is_ok_and(|info| info.live_restore);
    let is_to_come_back = |state: &Option<State>| state.as_ref().is_some_and(|state| state.restart == UNLESS_STOPPED);
    let (left, mine): (Vec<_>, Vec<_>) = if running.iter().any(|(state, _)| is_to_come_back(state)) && !restores().await
    {
        running.into_iter().partition(|(state, _)| is_to_come_back(state))
    } else {
        (Vec::new(), running)
    };
    let grace_s = if left.is_empty() { grace_s } else { shared_grace_s };
    let stopped = futures_util::future::join_all(mine.iter().map(|(_, container)| async {
        api.stop(container, grace_s).await.ok()?;
        let state = api.state(container).await.ok()?;
        (state.exit_code == Some(KILLED)).then_some(state.name)
    }));
    let killed = stopped.await.into_iter().flatten().collect();
    for (_, container) in &left {
        // As in `stop`: a frozen process hears no signal.
        let _ = api.docker.unpause_container(container).await;
    }
    let left = left.into_iter().filter_map(|(state, _)| {
        let state = state?;
        Some((state.name, i32::try_from(state.pid?).ok()?))
    });
    Ok(Stopped { grace_s, killed, left: left.collect() })
}
