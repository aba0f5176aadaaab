//! Standard error, written without ever waiting for its reader: what it does not take yet is kept within bounds, and
//! what is dropped after that is counted and reported.

use std::fs::OpenOptions;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::write;

/// How much is kept for a reader that is slow, in bytes.
const BACKLOG: usize = 256 << 10;
/// What a pipe that is ready takes without waiting, in bytes (PIPE_BUF, pipe(7)).
const PIPE_BUF: usize = 4096;
/// How long a reader may take nothing at all before it counts as none, and what comes is dropped.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where it goes.
enum Sink {
    /// A file description of our own, which does not block. The inherited one is shared with others, whose writes must
    /// not begin to fail.
    Own(OwnedFd),
    /// A regular file: a write waits for no reader.
    File,
    /// A socket, which cannot be opened again, and takes a flag with each write instead.
    Socket,
    /// A pipe that is not ours to open: it takes so much without waiting when poll(2) says that it is ready (pipe(7)).
    Pipe,
}

/// The output.
pub(super) struct Output {
    sink: Sink,
    backlog: Vec<u8>,
    dropped: u64,
    /// Since when the reader has taken nothing; `None` while it takes all.
    stuck_since: Option<Instant>,
}

impl Output {
    /// Standard error.
    pub(super) fn stderr() -> Self {
        let sink = match fstat(stderr()).map(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT) {
            Ok(SFlag::S_IFSOCK) => Sink::Socket,
            Ok(SFlag::S_IFIFO | SFlag::S_IFCHR) => {
                let mut options = OpenOptions::new();
                options.write(true).custom_flags(OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits());
                options.open("/proc/self/fd/2").map_or(Sink::Pipe, |file| Sink::Own(file.into()))
            }
            _ => Sink::File,
        };
        Self { sink, backlog: Vec::new(), dropped: 0, stuck_since: None }
    }

    /// Writes, or keeps for later, or drops.
    pub(super) fn write(&mut self, bytes: &[u8], now: Instant) {
        if self.backlog.is_empty() && self.dropped == 0 {
            let taken = self.push(bytes);
            self.keep(&bytes[taken..], now);
        } else {
            self.keep(bytes, now);
        }
    }

    fn keep(&mut self, bytes: &[u8], now: Instant) {
        if bytes.is_empty() {
            return;
        }
        self.stuck_since.get_or_insert(now);
        let room = if self.dropped > 0 { 0 } else { BACKLOG.saturating_sub(self.backlog.len()) };
        let kept = bytes.len().min(room);
        self.backlog.extend_from_slice(&bytes[..kept]);
        self.dropped += (bytes.len() - kept) as u64;
    }

    /// Whether something waits to be written.
    pub(super) fn waits(&self) -> Option<BorrowedFd<'_>> {
        if self.backlog.is_empty() && self.dropped == 0 {
            return None;
        }
        Some(match &self.sink {
            Sink::Own(fd) => fd.as_fd(),
            Sink::File | Sink::Socket | Sink::Pipe => stderr(),
        })
    }

    /// Whether no more should be read from a writer that can wait: the reader is slow, and takes something now and then.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.backlog.len() >= BACKLOG && self.stuck_since.is_some_and(|since| now < since + PATIENCE)
    }

    /// When a reader that takes nothing will count as none; `None` once it does, for nothing is due then.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.is_full(now).then_some(self.stuck_since? + PATIENCE)
    }

    /// Goes on with what waits.
    pub(super) fn flush(&mut self, now: Instant) {
        let backlog = std::mem::take(&mut self.backlog);
        let taken = self.push(&backlog);
        if taken > 0 {
            self.stuck_since = Some(now);
        }
        if taken < backlog.len() {
            self.backlog = backlog[taken..].to_vec();
            return;
        }
        if self.dropped > 0 {
            let text = format!("\ndindcheck: {} bytes were dropped: standard error was not read\n", self.dropped);
            self.dropped = 0;
            let taken = self.push(text.as_bytes());
            self.backlog = text.as_bytes()[taken..].to_vec();
        }
        if self.backlog.is_empty() {
            self.stuck_since = None;
        }
    }

    /// Writes as much as is taken at once. A reader that is gone takes all of it.
    fn push(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let rest = &bytes[taken..];
            let result = match &self.sink {
                Sink::Own(fd) => write(fd, rest),
                Sink::File => write(stderr(), rest),
                Sink::Socket => send(2, rest, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL),
                Sink::Pipe => match poll(&mut [PollFd::new(stderr(), PollFlags::POLLOUT)], PollTimeout::ZERO) {
                    Ok(0) => Err(Errno::EAGAIN),
                    _ => write(stderr(), &rest[..rest.len().min(PIPE_BUF)]),
                },
            };
            match result {
                Ok(count) => taken += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                // A full disk, a closed pipe: it is lost, as any program's would be.
                Err(_) => return bytes.len(),
            }
        }
        taken
    }
}

/// The inherited descriptor.
fn stderr() -> BorrowedFd<'static> {
    #[expect(unsafe_code, reason = "standard error has no owner")]
    // SAFETY: descriptor 2 is never closed by us.
    unsafe {
        BorrowedFd::borrow_raw(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use nix::fcntl::{FcntlArg, fcntl};

    use crate::process::alone;

    /// An output into a pipe that holds one page, and its reader.
    fn piped() -> (Output, File, usize) {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
        let size = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        let output = Output { sink: Sink::Own(writer), backlog: Vec::new(), dropped: 0, stuck_since: None };
        (output, reader.into(), usize::try_from(size).unwrap())
    }

    fn read(reader: &mut File) -> Vec<u8> {
        let mut buffer = vec![0; 1 << 20];
        let count = reader.read(&mut buffer).unwrap_or(0);
        buffer.truncate(count);
        buffer
    }

    #[test]
    fn what_is_not_taken_at_once_is_kept_in_its_order() {
        let (mut output, mut reader, size) = piped();
        let now = Instant::now();
        output.write(&vec![b'a'; size], now);
        assert!(output.waits().is_none() && output.stuck_since.is_none());
        output.write(b"b", now);
        // Although there is room again, nothing overtakes.
        assert_eq!(read(&mut reader), vec![b'a'; size]);
        output.write(b"c", now);
        assert!(output.waits().is_some() && output.stuck_since == Some(now) && !output.is_full(now));
        output.flush(now);
        assert_eq!(read(&mut reader), b"bc");
        assert!(output.waits().is_none() && output.stuck_since.is_none() && output.deadline(now).is_none());
    }

    #[test]
    fn what_is_too_much_is_counted_and_a_reader_that_takes_nothing_counts_as_none() {
        let (mut output, mut reader, size) = piped();
        let now = Instant::now();
        output.write(&vec![b'a'; size + BACKLOG - 1], now);
        assert!(!output.is_full(now));
        output.write(b"b", now);
        assert!(output.is_full(now) && output.is_full(now + PATIENCE - Duration::from_millis(1)));
        assert!(!output.is_full(now + PATIENCE), "no one reads");
        assert_eq!(output.deadline(now), Some(now + PATIENCE));
        assert_eq!(output.deadline(now + PATIENCE), None, "a deadline that has passed wakes nothing again and again");
        output.write(b"lost", now);
        // What comes behind a gap is lost, too, until that is told.
        assert_eq!(output.dropped, 4);
        let later = now + Duration::from_secs(1);
        let mut all = Vec::new();
        while output.waits().is_some() {
            all.extend(read(&mut reader));
            output.flush(later);
        }
        all.extend(read(&mut reader));
        let told = "\ndindcheck: 4 bytes were dropped: standard error was not read\n";
        assert_eq!(all.len(), size + BACKLOG + told.len());
        assert!(all.ends_with(told.as_bytes()) && output.dropped == 0 && output.stuck_since.is_none());
    }

    #[test]
    fn a_reader_that_is_gone_takes_all() {
        let (mut output, reader, size) = piped();
        drop(reader);
        let Sink::Own(writer) = &output.sink else { unreachable!() };
        // An error is told without being asked for.
        let mut writer = [PollFd::new(writer.as_fd(), PollFlags::empty())];
        assert_eq!(poll(&mut writer, PollTimeout::from(10_000_u16)), Ok(1), "no other has a copy of it any more");
        output.write(&vec![b'a'; size * 2], Instant::now());
        assert!(output.waits().is_none());
    }

    fn does_not_block(fd: impl std::os::fd::AsFd) -> bool {
        OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK)
    }

    /// Writes more than any pipe takes, and gives how much was kept.
    fn much(output: &mut Output) -> usize {
        output.write(&vec![b'a'; 4 * BACKLOG], Instant::now());
        assert!(!does_not_block(stderr()), "others write there");
        output.backlog.len()
    }

    /// Runs a test with that as its standard error, which is not read before its end.
    fn unread(mut command: Command, (mut reader, writer): (impl Read, impl Into<OwnedFd>)) {
        alone::passes(command.stderr(writer.into()));
        drop(command); // And its writer.
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(!read.is_empty() && read.iter().all(|byte| *byte == b'a'));
    }

    #[test]
    fn a_socket_that_is_not_read_is_waited_for_by_no_write() {
        let command = alone::command(|| {
            let mut output = Output::stderr();
            assert!(matches!(output.sink, Sink::Socket));
            assert_eq!(much(&mut output), BACKLOG);
            assert!(output.waits().is_some());
        });
        unread(command, UnixStream::pair().unwrap());
    }

    #[test]
    fn a_pipe_that_is_not_read_is_waited_for_by_no_write() {
        let command = alone::command(|| {
            let mut output = Output::stderr();
            assert!(matches!(&output.sink, Sink::Own(fd) if does_not_block(fd)));
            assert_eq!(much(&mut output), BACKLOG);
        });
        unread(command, std::io::pipe().unwrap());
    }

    #[test]
    fn a_pipe_that_cannot_be_opened_is_waited_for_by_no_write() {
        let command = alone::command(|| {
            let mut output = Output { sink: Sink::Pipe, backlog: Vec::new(), dropped: 0, stuck_since: None };
            assert_eq!(much(&mut output), BACKLOG);
        });
        unread(command, std::io::pipe().unwrap());
    }

    #[test]
    fn a_file_takes_all() {
        let mut command = alone::command(|| {
            let mut output = Output::stderr();
            assert!(matches!(output.sink, Sink::File));
            assert_eq!(much(&mut output), 0);
            assert!(output.waits().is_none());
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        alone::passes(command.stderr(file.reopen().unwrap()));
        assert_eq!(file.path().metadata().unwrap().len(), 4 * BACKLOG as u64);
    }

    #[test]
    fn a_device_takes_all() {
        let mut command = alone::command(|| {
            let mut output = Output::stderr();
            assert!(matches!(&output.sink, Sink::Own(fd) if does_not_block(fd)));
            assert_eq!(much(&mut output), 0);
        });
        alone::passes(command.stderr(File::options().write(true).open("/dev/null").unwrap()));
    }
}
