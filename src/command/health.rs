//! `dindcheck health`: whether the daemon is proved and answers, for HEALTHCHECK and probes. In milliseconds: a state
//! file and one request, without anything that the other commands need.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::HealthArgs;
use crate::engine::socket;
use crate::exit;
use crate::fact::Root;
use crate::facts::places::Places;
use crate::foreign;
use crate::supervisor::message::Phase;
use crate::supervisor::tell::{self, STATUS_FILE, Status};

/// How long it may take in all, from the connection to the answer.
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
        writeln!(io::stdout(), "{}", foreign::printable(&foreign::one_line(&text)))?;
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
            // The first line is that of the first root.
            let reason = status.reason.as_ref().and_then(|reason| reason.lines().next());
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            return Err(format!("not ready: {}{reason}", phase.trim_matches('"')));
        }
        _ => {}
    }
    ping(&socket, Instant::now() + PATIENCE)
        .map_err(|error| format!("the daemon at {socket} does not answer: {error}"))?;
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
fn ping(path: &str, deadline: Instant) -> io::Result<()> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    // A limit for each call would be one for each byte.
    let left =
        || Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero()).ok_or_else(late);
    let mut stream = socket::connect(path, deadline)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    let mut count = 0;
    while count < answer.len() {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut answer[count..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        }
    }
    // "HTTP/1.1 200"
    if answer.starts_with(b"HTTP/1.") && answer.ends_with(b" 200") {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_answer_byte_by_byte_has_one_deadline() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock").display().to_string();
        let listener = UnixListener::bind(&path).unwrap();
        let slow = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for byte in b"HTTP/1.1 200" {
                std::thread::sleep(Duration::from_millis(50));
                if stream.write_all(&[*byte]).is_err() {
                    break;
                }
            }
        });
        let start = Instant::now();
        let error = ping(&path, start + Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() < Duration::from_millis(450));
        slow.join().unwrap();
    }
}
