//! Waiting for the daemon's socket without a sleep loop: the kernel tells when something happens beside it.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect as connect_to, socket};

use crate::process::timeout;

/// How long a listener whose queue is full is left alone: nothing tells of a free place in it.
const FULL_AGAIN: Duration = Duration::from_millis(20);

/// Connects to a unix socket. A listener that accepts nothing, with a full queue, is not waited for beyond the deadline:
/// connect(2) without SOCK_NONBLOCK would wait for ever.
///
/// # Errors
/// `TimedOut` at the deadline; else the kernel's error.
pub fn connect(path: &str, deadline: Instant) -> io::Result<UnixStream> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    loop {
        let descriptor = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        match connect_to(std::os::fd::AsRawFd::as_raw_fd(&descriptor), &address) {
            Ok(()) => {
                let stream = UnixStream::from(descriptor);
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(Errno::EAGAIN | Errno::EINTR) if Instant::now() < deadline => {
                std::thread::sleep(FULL_AGAIN.min(deadline.saturating_duration_since(Instant::now())));
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it accepts no connection"));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A socket is bound a moment before it listens, and nothing tells of the second; so a refusal is tried again.
const REFUSED_AGAIN: Duration = Duration::from_millis(20);

/// How often a socket is looked for where the kernel gives no watch: its inotify instances or watches are used up
/// (inotify(7): EMFILE, ENOSPC), which the daemon itself does without.
const UNWATCHED_AGAIN: Duration = Duration::from_millis(50);

/// Waits until someone listens on a unix socket.
///
/// # Errors
/// `TimedOut` at the deadline; else what poll(2) gave.
pub fn wait(path: &str, deadline: Instant) -> io::Result<()> {
    wait_with(path, deadline, Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok())
}

fn wait_with(path: &str, deadline: Instant, inotify: Option<Inotify>) -> io::Result<()> {
    let events = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ATTRIB;
    loop {
        // The directory may be made later; then it is the nearest one above that tells.
        let directory = Path::new(path).ancestors().skip(1).find(|directory| directory.is_dir());
        let watch =
            inotify.as_ref().filter(|inotify| inotify.add_watch(directory.unwrap_or(Path::new("/")), events).is_ok());
        let refused = match connect(path, deadline) {
            Ok(_) => return Ok(()),
            Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        };
        if Instant::now() >= deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing listens on {path}")));
        }
        let again = match watch {
            _ if refused => Some(REFUSED_AGAIN),
            None => Some(UNWATCHED_AGAIN),
            Some(_) => None,
        };
        let until = again.map_or(deadline, |again| deadline.min(Instant::now() + again));
        let mut watched: Vec<PollFd> =
            watch.iter().map(|watch| PollFd::new(watch.as_fd(), PollFlags::POLLIN)).collect();
        poll(&mut watched, timeout(until))?;
        // Which event it was does not matter: the socket is tried again.
        let _ = watch.map(Inotify::read_events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::soon;
    use std::os::unix::net::UnixListener;
    use std::thread;

    #[test]
    fn a_full_queue_is_not_waited_for_beyond_the_deadline() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock").display().to_string();
        let listener =
            nix::sys::socket::socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let raw = std::os::fd::AsRawFd::as_raw_fd(&listener);
        nix::sys::socket::bind(raw, &UnixAddr::new(path.as_str()).unwrap()).unwrap();
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let soon = || Instant::now() + Duration::from_millis(200);
        let mut held = Vec::new();
        let start = Instant::now();
        let error = loop {
            match connect(&path, soon()) {
                Ok(stream) => held.push(stream),
                Err(error) => break error,
            }
            assert!(held.len() < 100);
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(5));
    }

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
        assert!(soon(|| UnixStream::connect(&text).is_err()));
        let error = wait(&text, Instant::now() + Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_socket_is_noticed_without_a_watch() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock");
        let text = path.display().to_string();
        let maker = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            UnixListener::bind(&path).unwrap()
        });
        wait_with(&text, Instant::now() + Duration::from_secs(10), None).unwrap();
        drop(maker.join().unwrap());
        assert!(soon(|| UnixStream::connect(&text).is_err()));
        let error = wait_with(&text, Instant::now() + Duration::from_millis(50), None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
