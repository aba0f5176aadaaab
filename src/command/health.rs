//! `dindcheck health`: whether the daemon is proved and answers, for HEALTHCHECK and probes. In milliseconds: a state
//! file and one request, without anything that the other commands need.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::cli::HealthArgs;
use crate::exit;
use crate::fact::Root;
use crate::facts::places::Places;
use crate::supervisor::message::Phase;
use crate::supervisor::tell::{self, STATUS_FILE, Status};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Says in one line how it is; 0 or 1.
///
/// # Errors
/// As [`super::dispatch`].
pub fn run(args: &HealthArgs) -> anyhow::Result<u8> {
    let (healthy, text) = match judge() {
        Ok(text) => (true, text),
        Err(reason) => (false, reason),
    };
    if !args.quiet {
        writeln!(io::stdout(), "{text}")?;
    }
    Ok(if healthy { exit::OK } else { exit::BLOCKED })
}

fn judge() -> Result<String, String> {
    let status = status();
    let told = status.as_ref().and_then(|status| status.socket.clone());
    let socket = told.unwrap_or_else(|| Places::of_served(&Root::new("/")).socket());
    match &status {
        Some(status) if status.phase != Phase::Serving => {
            let phase = serde_json::to_string(&status.phase).unwrap_or_default();
            return Err(format!("not ready: {}", phase.trim_matches('"')));
        }
        _ => {}
    }
    ping(&socket).map_err(|error| format!("the daemon at {socket} does not answer: {error}"))?;
    Ok(match status {
        Some(_) => "the daemon is proved and answers".to_owned(),
        // Not started by us, or where /run cannot be written.
        None => "the daemon answers".to_owned(),
    })
}

/// What a main job in this container has told: outside of the user namespace of a rootless daemon too.
fn status() -> Option<Status> {
    let root = Root::new("/");
    let places = [Places::of_served(&root), Places::of(&root)];
    places.iter().find_map(|places| tell::read(&Path::new(places.run()).join(STATUS_FILE)))
}

/// One request that every engine answers (API 1.0 on).
fn ping(socket: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    // "HTTP/1.1 200"
    if answer.starts_with(b"HTTP/1.") && answer.ends_with(b" 200") {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()))
}
