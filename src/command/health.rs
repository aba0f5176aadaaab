//! `dindcheck health`: whether the daemon is proved and answers, for HEALTHCHECK and probes. In milliseconds: a state
//! file and one request, without anything that the other commands need.

mod resolve;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, thread};

use crate::cli::HealthArgs;
use crate::configuration::Address;
use crate::engine::api::Place;
use crate::engine::remote::{self, Remote};
use crate::exit;
use crate::fact::Root;
use crate::facts::places::Places;
use crate::foreign;
use crate::supervisor::message::Phase;
use crate::supervisor::tell::{self, STATUS_FILE, Status};

/// How long it may take in all, from the connection to the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a look may take in any case: the last one is to tell why, and not that its time was short.
const LEAST: Duration = Duration::from_secs(1);
/// How often it is looked at while it is waited for.
const AGAIN: Duration = Duration::from_millis(50);

/// Says in one line how it is; 0 or 1.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &HealthArgs) -> anyhow::Result<u8> {
    let start = Instant::now();
    let until = args.wait.map(|wait| start + wait);
    let judged = loop {
        let judged = judge(until);
        if judged.is_ok() || until.is_none_or(|until| Instant::now() >= until) {
            break judged;
        }
        thread::sleep(AGAIN);
    };
    let (healthy, text) = match judged {
        Ok(text) => (true, text),
        Err(Reason { text, advice }) => (false, format!("{text}{}", advice())),
    };
    let waited = args.wait.map(|_| format!(" (waited {:.1} s)", start.elapsed().as_secs_f64())).unwrap_or_default();
    if !args.quiet {
        writeln!(io::stdout(), "{}{waited}", foreign::line(&text))?;
    }
    Ok(if healthy { exit::OK } else { exit::BLOCKED })
}

/// Why it cannot be used, and what else is worth a word once nothing is waited for.
struct Reason {
    text: String,
    advice: Box<dyn Fn() -> String>,
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, advice: Box::new(String::new) }
    }
}

/// One look, which takes no longer than `until`.
fn judge(until: Option<Instant>) -> Result<String, Reason> {
    let deadline = Instant::now() + PATIENCE;
    let deadline = until.map_or(deadline, |until| deadline.min(until.max(Instant::now() + LEAST)));
    let status = status();
    if let Some(Status { phase, reason, .. }) = status.as_ref().filter(|status| status.phase != Phase::Serving) {
        let phase = serde_json::to_string(phase).unwrap_or_default();
        // The first line is that of the first root.
        let reason = reason.as_ref().and_then(|reason| reason.lines().next());
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        return Err(format!("not ready: {}{reason}", phase.trim_matches('"')).into());
    }
    if status.is_none()
        && let Some(remote) = Remote::of_environment(|name| env::var(name).ok())
    {
        return judge_remote(&remote?, deadline);
    }
    let told = status.as_ref().and_then(|status| status.socket.clone());
    let socket = told.unwrap_or_else(|| Places::of_served(&Root::new("/")).socket());
    remote::ping_unix(&socket, deadline).map_err(|error| format!("the daemon at {socket} does not answer: {error}"))?;
    Ok(match status {
        Some(_) => "the daemon is proved and answers".to_owned(),
        // Not started by us, or where /run cannot be written.
        None => "the daemon answers".to_owned(),
    })
}

/// Where the daemon of a client's environment is, if one is named there and none is served here.
///
/// # Errors
/// A name that has no address, or certificates that cannot be used, in words.
pub(super) fn remote_place(deadline: Instant) -> Option<Result<Place, String>> {
    if status().is_some() {
        return None;
    }
    let remote = match Remote::of_environment(|name| env::var(name).ok())? {
        Ok(remote) => remote,
        Err(reason) => return Some(Err(reason)),
    };
    Some(places(&remote, deadline).and_then(|places| {
        // Of more than one address, the first that is listened on.
        let listens = places.iter().find(|place| remote::listens(**place));
        remote.place(*listens.or(places.first()).unwrap_or(&SocketAddr::from(([127, 0, 0, 1], 0))))
    }))
}

/// The addresses of a TCP host's name.
fn places(remote: &Remote, deadline: Instant) -> Result<Vec<SocketAddr>, String> {
    let Address::Tcp { host, port } = &remote.address else { return Ok(Vec::new()) };
    Ok(resolve::addresses(host, deadline)?.into_iter().map(|ip| SocketAddr::new(ip, *port)).collect())
}

/// The daemon of a client's environment.
fn judge_remote(remote: &Remote, deadline: Instant) -> Result<String, Reason> {
    let address = remote.address.to_string();
    let places = places(remote, deadline).map_err(|reason| format!("cannot use the daemon at {address}: {reason}"))?;
    match remote.ping(&places, deadline) {
        Ok(()) => Ok(format!("the daemon at {address} answers")),
        Err(reason) => Err(Reason {
            text: format!("cannot use the daemon at {address}: {reason}"),
            advice: Box::new(move || other_port(&places, remote::listens)),
        }),
    }
}

/// The ports of docker:dind, without and with TLS.
const PORTS: [u16; 2] = [2375, 2376];

/// What a client that dials the wrong one of the two ports has to know; `listens` tells whether a server does there.
fn other_port(places: &[SocketAddr], listens: impl Fn(SocketAddr) -> bool) -> String {
    let other = |place: &&SocketAddr| PORTS.contains(&place.port()) && !listens(**place);
    let Some(place) = places.iter().find(other) else { return String::new() };
    let Some(port) = PORTS.into_iter().find(|port| *port != place.port()) else { return String::new() };
    if !listens(SocketAddr::new(place.ip(), port)) {
        return String::new();
    }
    let tls = if port == PORTS[1] { "with" } else { "without" };
    format!("; port {port} is open, where clients connect {tls} TLS")
}

/// Whether a main job in this container has let clients in, and its daemon answers.
pub(super) fn is_served() -> bool {
    status().is_some_and(serves)
}

fn serves(status: Status) -> bool {
    let Status { phase: Phase::Serving, socket: Some(socket), .. } = status else { return false };
    remote::ping_unix(&socket, Instant::now() + PATIENCE).is_ok()
}

/// Whether it has written its report too, which may be later.
pub(super) fn is_reported() -> bool {
    status().is_some_and(has_reported)
}

fn has_reported(status: Status) -> bool {
    status.phase == Phase::Serving && status.reported
}

/// What a main job in this container has told: outside of the user namespace of a rootless daemon too.
fn status() -> Option<Status> {
    let root = Root::new("/");
    let places = [Places::of_served(&root), Places::of(&root)];
    places.iter().find_map(|places| tell::read(&Path::new(places.run()).join(STATUS_FILE)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn status(phase: Phase, socket: Option<&str>, reported: bool) -> Status {
        let socket = socket.map(str::to_owned);
        Status { phase, pid: 1, socket, namespace: None, started: None, reason: None, reported }
    }

    #[test]
    fn only_a_daemon_that_is_proved_and_answers_is_served() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock").display().to_string();
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        });
        // Whom the server does not answer is not asked.
        assert!(!serves(status(Phase::Verifying, Some(&path), false)));
        assert!(!serves(status(Phase::Serving, None, false)));
        assert!(!serves(status(Phase::Serving, Some("/nonexistent.sock"), false)));
        assert!(serves(status(Phase::Serving, Some(&path), false)));
        server.join().unwrap();
    }

    #[test]
    fn a_report_counts_once_clients_are_let_in() {
        for (phase, reported, wanted) in [
            (Phase::Serving, true, true),
            (Phase::Serving, false, false),
            (Phase::Stopping, true, false),
            (Phase::Checking, false, false),
        ] {
            assert_eq!(has_reported(status(phase, None, reported)), wanted, "{phase:?}, {reported}");
        }
    }

    #[test]
    fn a_client_that_dials_the_wrong_port_is_told_of_the_other() {
        let place = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let advice = |dialled: &[u16], open: &[u16]| {
            let places: Vec<SocketAddr> = dialled.iter().copied().map(place).collect();
            other_port(&places, |asked| open.iter().any(|port| asked == place(*port)))
        };
        assert_eq!(advice(&[2375], &[2376]), "; port 2376 is open, where clients connect with TLS");
        assert_eq!(advice(&[2376], &[2375]), "; port 2375 is open, where clients connect without TLS");
        for (dialled, open) in [(&[][..], &[2375, 2376][..]), (&[2375], &[]), (&[2375], &[2375, 2376]), (&[9], &[2375])]
        {
            assert_eq!(advice(dialled, open), "", "{dialled:?}, {open:?}");
        }
    }
}
