//! Stopping the inner containers through the API.

use std::time::Duration;

use super::api::{Api, ApiError};

/// The status of a process that SIGKILL ended.
const KILLED: i64 = 128 + 9;

/// Stops all running containers, side by side; gives the names of those that had to be killed. One that cannot be
/// stopped is left to the daemon.
///
/// # Errors
/// No connection, or no list of containers.
pub async fn stop_all(socket: &str, timeout: Duration, grace_s: i32) -> Result<Vec<String>, ApiError> {
    let api = Api::connect(socket, timeout).await?;
    let running = api.running().await?;
    let stopped = futures_util::future::join_all(running.iter().map(|container| async {
        api.stop(container, grace_s).await.ok()?;
        let state = api.state(container).await.ok()?;
        (state.exit_code == Some(KILLED)).then_some(state.name)
    }));
    Ok(stopped.await.into_iter().flatten().collect())
}
