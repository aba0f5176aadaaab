//! Stopping the inner containers through the API.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::api::container::State;
use super::api::{Api, ApiError};
use crate::foreign::Foreign;

/// The status of a process that SIGKILL ended.
const KILLED: i64 = 128 + 9;
/// The policy of those that start with the daemon unless someone has stopped them.
pub(super) const UNLESS_STOPPED: &str = "unless-stopped";

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stopped {
    /// How long each was given, in seconds.
    pub grace_s: i32,
    /// The names of those that had to be killed.
    pub killed: Vec<Foreign>,
    /// Those that no one may stop through the API.
    pub left: Vec<Left>,
    /// Whether the daemon leaves them running when it ends (live-restore).
    pub outlive_the_daemon: bool,
}

/// A container that is to come back with the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Its name.
    pub name: Foreign,
    /// Its first process.
    pub pid: i32,
    /// What asks it to end.
    pub stop_signal: i32,
}

impl Left {
    fn new(state: State) -> Option<Self> {
        let stop_signal = state.stop_signal.as_deref().and_then(number).unwrap_or(Signal::SIGTERM as i32);
        Some(Self { name: state.name, pid: i32::try_from(state.pid?).ok()?, stop_signal })
    }
}

/// A signal as Docker names it: `SIGINT`, `INT`, `2`, `SIGRTMIN+3`.
fn number(name: &str) -> Option<i32> {
    let name = name.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    match name.strip_prefix("RTMIN") {
        Some(above) => Some(libc::SIGRTMIN() + above.strip_prefix('+').map_or(Some(0), |above| above.parse().ok())?),
        None => name.parse().ok().or_else(|| Some(format!("SIG{name}").parse::<Signal>().ok()? as i32)),
    }
}

/// Stops all running containers, side by side, each in `grace_s`, or in `shared_grace_s` where some have to end with
/// the daemon after that: stopping one of those that run `unless-stopped` has stopped it for good, and it would not
/// come back with the daemon. One that cannot be stopped is left to the daemon, too.
///
/// # Errors
/// No connection, or no list of containers.
pub async fn stop_all(socket: &str, timeout: Duration, grace_s: i32, shared_grace_s: i32) -> Result<Stopped, ApiError> {
    let api = Api::connect(socket, timeout).await?;
    let inspect = async |container: String| (api.state(&container).await.ok(), container);
    let running = futures_util::future::join_all(api.running().await?.into_iter().map(inspect)).await;
    let is_to_come_back = |state: &Option<State>| state.as_ref().is_some_and(|state| state.restart == UNLESS_STOPPED);
    // A paused process hears no signal. One that cannot be resumed is killed when its time is up.
    let paused = running.iter().filter(|(state, _)| state.as_ref().is_some_and(|state| state.paused));
    futures_util::future::join_all(paused.map(|(_, container)| api.resume(container))).await;
    let (left, mine): (Vec<_>, Vec<_>) = running.into_iter().partition(|(state, _)| is_to_come_back(state));
    let outlive_the_daemon = !left.is_empty() && api.info().await.is_ok_and(|info| info.live_restore);
    let grace_s = if left.is_empty() { grace_s } else { shared_grace_s };
    let stopped = futures_util::future::join_all(mine.iter().map(|(_, container)| async {
        api.stop(container, grace_s).await.ok()?;
        let state = api.state(container).await.ok()?;
        (state.exit_code == Some(KILLED)).then_some(state.name)
    }));
    let killed = stopped.await.into_iter().flatten().collect();
    let left = left.into_iter().filter_map(|(state, _)| Left::new(state?));
    Ok(Stopped { grace_s, killed, left: left.collect(), outlive_the_daemon })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_to_come_back_is_asked_by_its_own_signal() {
        let state = |pid, stop_signal: Option<&str>| State {
            name: "a".into(),
            pid,
            stop_signal: stop_signal.map(str::to_owned),
            ..State::default()
        };
        let left = |stop_signal| Some(Left { name: "a".into(), pid: 7, stop_signal });
        assert_eq!(Left::new(state(Some(7), Some("SIGINT"))), left(2));
        assert_eq!(Left::new(state(Some(7), Some("odd"))), left(15));
        assert_eq!(Left::new(state(Some(7), None)), left(15));
        assert_eq!(Left::new(state(None, None)), None);
    }

    #[test]
    fn signals_have_many_names() {
        for (name, expected) in [
            ("SIGTERM", Some(15)),
            ("int", Some(2)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(libc::SIGRTMIN() + 3)),
            ("RTMIN", Some(libc::SIGRTMIN())),
            ("SIGNOTHING", None),
            ("", None),
        ] {
            assert_eq!(number(name), expected, "{name}");
        }
    }
}
