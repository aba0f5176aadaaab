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
