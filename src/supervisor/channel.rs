//! The way between the supervisor and the look process: whole messages, with descriptors where they are handed over.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, recvmsg, sendmsg,
    socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest message, in bytes. No command line is longer.
pub(super) const MAX: usize = 96 << 10;
/// The most addresses that a daemon listens on.
pub(super) const MAX_DOORS: usize = 64;

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// Both ends.
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Self(one), Self(other)))
    }

    /// An end that was handed over.
    pub(super) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The descriptor alone.
    pub(super) fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Sends a message. It blocks where the other end does not read, unless `flags` say otherwise.
    pub(super) fn send(&self, message: &impl Serialize, fds: &[RawFd], flags: MsgFlags) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > MAX || fds.len() > MAX_DOORS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the daemon's command line is too long"));
        }
        let rights = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights };
        let sent = sendmsg::<UnixAddr>(
            self.0.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            control,
            flags | MsgFlags::MSG_NOSIGNAL,
            None,
        );
        sent.map(drop).map_err(io::Error::from)
    }

    /// Takes the next message; `None` at the end, when no one can send any more.
    pub(super) fn receive<T: DeserializeOwned>(&self, flags: MsgFlags) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut buffer = vec![0; MAX];
        let mut control = nix::cmsg_space!([RawFd; MAX_DOORS]);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
        let (count, numbers) = loop {
            match recvmsg::<UnixAddr>(self.0.as_raw_fd(), &mut slices, Some(&mut control), flags) {
                Ok(message) => {
                    let numbers: Vec<RawFd> = message
                        .cmsgs()?
                        .filter_map(|one| match one {
                            ControlMessageOwned::ScmRights(fds) => Some(fds),
                            _ => None,
                        })
                        .flatten()
                        .collect();
                    break (message.bytes, numbers);
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        #[expect(unsafe_code, reason = "descriptors come as numbers")]
        // SAFETY: the kernel has just made these descriptors for us, and nothing else has them.
        let fds = numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect();
        if count == 0 {
            return Ok(None);
        }
        Ok(Some((serde_json::from_slice(&buffer[..count])?, fds)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;

    const NOW: MsgFlags = MsgFlags::MSG_DONTWAIT;

    fn message(channel: &Channel) -> io::Result<Option<(String, Vec<OwnedFd>)>> {
        channel.receive(NOW)
    }

    #[test]
    fn messages_come_one_by_one_with_their_descriptors() {
        let (one, other) = Channel::pair().unwrap();
        // An end is as good after it was handed over.
        let other = Channel::from_fd(other.into_fd());
        let (mut reader, writer) = io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        one.send(&"first", &[], NOW).unwrap();
        one.send(&"second", &[writer.as_raw_fd(), null.as_raw_fd()], NOW).unwrap();
        drop(writer);
        let (text, fds) = message(&other).unwrap().unwrap();
        assert_eq!((text.as_str(), fds.len()), ("first", 0));
        let (text, fds) = message(&other).unwrap().unwrap();
        let [handed_over, null] = <[OwnedFd; 2]>::try_from(fds).unwrap();
        assert_eq!(text, "second");
        for fd in [&handed_over, &null] {
            assert_eq!(fcntl(fd, FcntlArg::F_GETFD).unwrap(), FdFlag::FD_CLOEXEC.bits(), "children do not get it");
        }
        File::from(handed_over).write_all(b"through it").unwrap();
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "through it");
        assert_eq!(message(&other).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn the_longest_message_with_the_most_descriptors_is_sent_and_nothing_beyond() {
        let (one, other) = Channel::pair().unwrap();
        // With its two quotation marks.
        let text = |bytes: usize| "x".repeat(bytes - 2);
        let null = File::open("/dev/null").unwrap();
        let fds = |count: usize| vec![null.as_raw_fd(); count];
        for (bytes, count) in [(MAX + 1, 0), (4, MAX_DOORS + 1), (MAX + 1, MAX_DOORS + 1)] {
            let error = one.send(&text(bytes), &fds(count), NOW).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bytes} {count}");
            assert_eq!(error.to_string(), "the daemon's command line is too long");
        }
        one.send(&text(MAX), &fds(MAX_DOORS), NOW).unwrap();
        let (received, fds) = message(&other).unwrap().unwrap();
        assert_eq!((received.len(), fds.len()), (MAX - 2, MAX_DOORS));
        assert_eq!(message(&other).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_end_that_is_not_read_does_not_hold_one_who_does_not_wait() {
        let (done, waits) = mpsc::channel();
        thread::spawn(move || {
            let (one, _other) = Channel::pair().unwrap();
            let text = "x".repeat(MAX / 2);
            let _ = done.send((0..1000).find_map(|_| one.send(&text, &[], NOW).err().map(|error| error.kind())));
        });
        assert_eq!(waits.recv_timeout(Duration::from_secs(10)).unwrap(), Some(io::ErrorKind::WouldBlock));
    }

    #[test]
    fn what_is_no_message_is_an_error_that_costs_no_other() {
        let (one, other) = Channel::pair().unwrap();
        one.send(&17, &[], NOW).unwrap();
        one.send(&"next", &[], NOW).unwrap();
        assert_eq!(message(&other).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(message(&other).unwrap().unwrap().0, "next");
    }

    #[test]
    fn the_end_comes_behind_the_last_message() {
        let (one, other) = Channel::pair().unwrap();
        assert_eq!(one.as_fd().as_raw_fd(), one.0.as_raw_fd());
        one.send(&"last", &[], NOW).unwrap();
        drop(one);
        assert_eq!(message(&other).unwrap().unwrap().0, "last");
        // It is waited for: a child that another test is just starting has a copy of each descriptor.
        assert!((0..2).all(|_| other.receive::<String>(MsgFlags::empty()).unwrap().is_none()));
        assert_eq!(other.send(&"x", &[], NOW).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
