//! Waiting for the daemon's socket without a sleep loop: the kernel tells when something happens beside it.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::process::timeout;

/// A socket is bound a moment before it listens, and nothing tells of the second; so a refusal is tried again.
const REFUSED_AGAIN: Duration = Duration::from_millis(20);

/// Waits until somebody listens on a unix socket.
///
/// # Errors
/// `TimedOut` at the deadline; else what watching gave.
pub fn wait(path: &str, deadline: Instant) -> io::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let events = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ATTRIB;
    loop {
        // The directory may be made later; then it is the nearest one above that tells.
        let directory = Path::new(path).ancestors().skip(1).find(|directory| directory.is_dir());
        inotify.add_watch(directory.unwrap_or(Path::new("/")), events)?;
        let refused = match UnixStream::connect(path) {
            Ok(_) => return Ok(()),
            Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        };
        if Instant::now() >= deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("nobody listens on {path}")));
        }
        let until = if refused { deadline.min(Instant::now() + REFUSED_AGAIN) } else { deadline };
        poll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], timeout(until))?;
        // Which event it was does not matter: the socket is tried again.
        let _ = inotify.read_events();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    #[test]
    fn a_socket_made_later_in_a_directory_made_later_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/x.sock");
        let text = path.display().to_string();
        let maker = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            std::fs::create_dir(path.parent().unwrap()).unwrap();
            UnixListener::bind(&path).unwrap()
        });
        wait(&text, Instant::now() + Duration::from_secs(10)).unwrap();
        drop(maker.join().unwrap());
        let error = wait(&text, Instant::now() + Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
