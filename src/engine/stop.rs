//! Stopping the inner containers through the API.

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, RestartPolicyNameEnum};
use bollard::query_parameters::InspectContainerOptions;

use super::api::{Api, ApiError};

/// The status of a process that SIGKILL ended.
const KILLED: i64 = 128 + 9;

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
    let inspect = async |container: String| {
        let inspected = api.docker.inspect_container(&container, None::<InspectContainerOptions>).await.ok();
        (container, inspected)
    };
    let running = futures_util::future::join_all(api.running().await?.into_iter().map(inspect)).await;
    // With live-restore the daemon leaves its containers running when it ends.
    let restores = async || api.docker.info().await.ok().and_then(|info| info.live_restore_enabled) == Some(true);
    let is_to_come_back = |inspected: &Option<ContainerInspectResponse>| inspected.as_ref().is_some_and(comes_back);
    let (left, mine): (Vec<_>, Vec<_>) =
        if running.iter().any(|(_, inspected)| is_to_come_back(inspected)) && !restores().await {
            running.into_iter().partition(|(_, inspected)| is_to_come_back(inspected))
        } else {
            (Vec::new(), running)
        };
    let grace_s = if left.is_empty() { grace_s } else { shared_grace_s };
    let stopped = futures_util::future::join_all(mine.iter().map(|(container, _)| async {
        api.stop(container, grace_s).await.ok()?;
        let (_, inspected) = inspect(container.clone()).await;
        let inspected = inspected?;
        let killed = inspected.state.as_ref().and_then(|state| state.exit_code) == Some(KILLED);
        killed.then(|| name(&inspected).unwrap_or_else(|| container.clone()))
    }));
    let killed = stopped.await.into_iter().flatten().collect();
    for (container, _) in &left {
        // As in `stop`: a frozen process hears no signal.
        let _ = api.docker.unpause_container(container).await;
    }
    let left = left.into_iter().filter_map(|(container, inspected)| {
        let inspected = inspected?;
        let pid = i32::try_from(inspected.state.as_ref()?.pid?).ok()?;
        Some((name(&inspected).unwrap_or(container), pid))
    });
    Ok(Stopped { grace_s, killed, left: left.collect() })
}

/// Whether it starts with the daemon unless somebody has stopped it.
fn comes_back(container: &ContainerInspectResponse) -> bool {
    let policy = container.host_config.as_ref().and_then(|host| host.restart_policy.as_ref()?.name);
    policy == Some(RestartPolicyNameEnum::UNLESS_STOPPED)
}

fn name(container: &ContainerInspectResponse) -> Option<String> {
    Some(container.name.as_ref()?.trim_start_matches('/').to_owned())
}
