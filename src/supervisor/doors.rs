//! The doors: the addresses of the daemon's API. They are listened on before the daemon is started, which gets the
//! sockets by socket activation (sd_listen_fds(3)), and closed to everybody but us until it is proved.
//!
//! A unix socket has a hidden name in the same directory, with mode 0600, and is renamed when the doors open. On a TCP
//! socket a filter drops the first packet of each handshake, so that a client's kernel tries again, after 1, 3 and 7 s,
//! instead of being refused (socket(7): SO_ATTACH_FILTER).
#![expect(unsafe_code, reason = "socket options that nix does not have, and descriptors by number")]

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, listen, setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, umask};

use super::message::Door;

/// What the hidden name of a unix socket has around the name that clients know.
const HIDDEN: (&str, &str) = (".", ".dindcheck");
/// The size of an address of a unix socket, with its end (unix(7)).
const UNIX_PATH_MAX: usize = 108;

/// The doors of a daemon, from their making until they are handed over.
#[derive(Debug)]
pub struct Doors {
    doors: Vec<Door>,
    sockets: Vec<OwnedFd>,
    mark: u32,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}")]
pub struct DoorError {
    /// The address.
    pub address: String,
    /// The kernel's error.
    pub reason: String,
}

impl DoorError {
    fn new(address: &str, reason: impl std::fmt::Display) -> Self {
        Self { address: address.to_owned(), reason: reason.to_string() }
    }
}

impl Default for Doors {
    fn default() -> Self {
        // Where there is no random number, no one is let in before the doors open.
        Self { doors: Vec::new(), sockets: Vec::new(), mark: getrandom::u32().unwrap_or(0) }
    }
}

impl Doors {
    /// The mark of packets that come through a closed TCP door (socket(7): SO_MARK); `None` if nothing does.
    pub fn mark(&self) -> Option<u32> {
        (self.mark != 0).then_some(self.mark)
    }

    /// Those that were made so far.
    pub fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// Their sockets, in the same order.
    pub(super) fn raw(&self) -> Vec<RawFd> {
        self.sockets.iter().map(|fd| fd.as_raw_fd()).collect()
    }

    /// Listens on a unix socket, at its hidden path. `group` and `mode` are those that it gets with its public name.
    ///
    /// # Errors
    /// What stands in the way at either path.
    pub fn unix(&mut self, public: &str, group: Option<u32>, mode: u32) -> Result<(), DoorError> {
        let failed = |reason: &dyn std::fmt::Display| DoorError::new(&format!("unix://{public}"), reason);
        if self.doors.iter().any(|door| matches!(door, Door::Unix { public: other, .. } if other == public)) {
            return Ok(());
        }
        let hidden = hidden(public).ok_or_else(|| failed(&"the path is too long for a socket"))?;
        // A socket, or a file, is replaced, as the daemon does it; a directory or a mount would keep it from starting.
        if let Ok(metadata) = Path::new(public).symlink_metadata()
            && metadata.is_dir()
        {
            return Err(failed(&"there is a directory"));
        }
        match fs::remove_file(&hidden) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&error)),
            _ => {}
        }
        let kind = (AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC);
        let fd = socket(kind.0, kind.1, kind.2, None).map_err(|error| failed(&error))?;
        let address = UnixAddr::new(hidden.as_str()).map_err(|error| failed(&error))?;
        // No one else may connect, from the first moment on.
        let before = umask(Mode::from_bits_truncate(0o177));
        let bound = bind(fd.as_raw_fd(), &address);
        umask(before);
        bound.and_then(|()| listen(&fd, Backlog::MAXCONN)).map_err(|error| failed(&error))?;
        self.doors.push(Door::Unix { hidden, public: public.to_owned(), group, mode });
        self.sockets.push(fd);
        Ok(())
    }

    /// Listens on a TCP address, as Go's net.Listen does: an unspecified one is that of both families.
    ///
    /// # Errors
    /// The kernel's error: a port that is in use, an address that no interface has.
    pub fn tcp(&mut self, address: &str, socket: SocketAddr) -> Result<(), DoorError> {
        let failed = |error: &dyn std::fmt::Display| DoorError::new(address, error);
        if self.doors.iter().any(|door| matches!(door, Door::Tcp { address: other } if other == address)) {
            return Ok(());
        }
        let both = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), socket.port());
        let fd = if socket.ip().is_unspecified() {
            match listen_tcp(both, self.mark) {
                // There is no IPv6 here.
                Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL) => {
                    listen_tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), socket.port()), self.mark)
                }
                other => other,
            }
        } else {
            listen_tcp(socket, self.mark)
        };
        self.sockets.push(fd.map_err(|error| failed(&error))?);
        self.doors.push(Door::Tcp { address: address.to_owned() });
        Ok(())
    }
}

/// The hidden path beside a public one.
fn hidden(public: &str) -> Option<String> {
    let (directory, name) = public.rsplit_once('/')?;
    let path = format!("{directory}/{}{name}{}", HIDDEN.0, HIDDEN.1);
    (path.len() < UNIX_PATH_MAX).then_some(path)
}

fn listen_tcp(address: SocketAddr, mark: u32) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if let SocketAddr::V6(address) = address {
        // An unspecified one takes both families; any other is of one.
        setsockopt(&fd, sockopt::Ipv6V6Only, &!address.ip().is_unspecified())?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    // Closed before anybody can knock.
    attach_filter(fd.as_fd(), mark)?;
    listen(&fd, Backlog::MAXCONN)?;
    Ok(fd)
}

/// Drops every packet that comes to a socket without the mark; 0 marks none (Linux, Documentation/networking/filter.rst).
fn attach_filter(fd: BorrowedFd, mark: u32) -> Result<(), Errno> {
    // linux/filter.h: the instructions, and the extension that loads the mark of a packet.
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const MARK: u32 = (-0x1000_i32 + 20).cast_unsigned();
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(LOAD_WORD, 0, 0, MARK),
        step(JUMP_IF_EQUAL, 0, 2, mark),
        step(JUMP_IF_EQUAL, 1, 0, 0),
        step(RETURN, 0, 0, u32::MAX),
        step(RETURN, 0, 0, 0),
    ];
    let program = libc::sock_fprog { len: 5, filter: steps.as_mut_ptr() };
    option(fd, libc::SO_ATTACH_FILTER, (&raw const program).cast(), size_of_val(&program))
}

fn detach_filter(fd: BorrowedFd) -> Result<(), Errno> {
    let nothing: libc::c_int = 0;
    option(fd, libc::SO_DETACH_FILTER, (&raw const nothing).cast(), size_of_val(&nothing))
}

fn option(fd: BorrowedFd, name: libc::c_int, value: *const libc::c_void, size: usize) -> Result<(), Errno> {
    let size = libc::socklen_t::try_from(size).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the pointer and the size are those of a value that outlives the call.
    Errno::result(unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, value, size) }).map(drop)
}

/// Lets the clients in: each unix socket gets its owner, mode and public name, each TCP socket loses its filter.
pub(super) fn open(doors: &[Door], sockets: &[OwnedFd]) -> Result<(), String> {
    for (door, fd) in doors.iter().zip(sockets) {
        match door {
            Door::Unix { hidden, public, group, mode } => {
                let failed = |error: io::Error| format!("cannot open unix://{public}: {error}");
                // Who listens is who listened last (unix(7): SO_PEERCRED), and the look process will be gone.
                listen(fd, Backlog::MAXCONN).map_err(|error| failed(error.into()))?;
                // A user's may not be given to another group; then it stays the user's, as with the daemon.
                let _ = chown(hidden, None, *group);
                fs::set_permissions(hidden, fs::Permissions::from_mode(*mode)).map_err(failed)?;
                fs::rename(hidden, public).map_err(failed)?;
            }
            Door::Tcp { address } => {
                detach_filter(fd.as_fd()).map_err(|error| format!("cannot open {address}: {error}"))?;
            }
        }
    }
    Ok(())
}

/// Lets no new client in; those that are connected stay. Each unix socket gets its hidden name again, each TCP socket a
/// filter. Gives what could not be closed.
pub(super) fn close(doors: &[Door], sockets: &[OwnedFd]) -> Vec<String> {
    let mut failed = Vec::new();
    for (door, fd) in doors.iter().zip(sockets) {
        let (address, closed) = match door {
            Door::Unix { hidden, public, .. } => (format!("unix://{public}"), fs::rename(public, hidden)),
            Door::Tcp { address } => (address.clone(), attach_filter(fd.as_fd(), 0).map_err(io::Error::from)),
        };
        failed.extend(closed.err().map(|error| format!("cannot close {address}: {error}")));
    }
    failed
}

/// Removes the hidden names of doors that are not open.
pub(super) fn remove(doors: &[Door]) {
    for door in doors {
        if let Door::Unix { hidden, .. } = door
            && Path::new(hidden).symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
        {
            // No one but us knows it.
            let _ = fs::remove_file(hidden);
        }
    }
}

/// A descriptor that was handed over by its number, which has no other owner; children do not get it.
///
/// # Errors
/// There is none of this number.
pub(super) fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes numbers and touches no memory.
    Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, and we are the only ones who were told of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    #[test]
    fn a_unix_socket_gets_its_name_and_mode_when_the_doors_open() {
        let directory = tempfile::tempdir().unwrap();
        let public = directory.path().join("docker.sock").display().to_string();
        fs::write(&public, "in the way").unwrap();
        let mut doors = Doors::default();
        doors.unix(&public, None, 0o660).unwrap();
        let hidden = directory.path().join(".docker.sock.dindcheck");
        assert_eq!(hidden.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        UnixStream::connect(&hidden).unwrap();
        assert!(UnixStream::connect(&public).is_err());
        open(&doors.doors, &doors.sockets).unwrap();
        assert_eq!(Path::new(&public).metadata().unwrap().permissions().mode() & 0o7777, 0o660);
        let mut client = UnixStream::connect(&public).unwrap();
        assert!(!hidden.exists());
        assert_eq!(close(&doors.doors, &doors.sockets), [""; 0]);
        assert!(UnixStream::connect(&public).is_err());
        UnixStream::connect(&hidden).unwrap();
        std::io::Write::write_all(&mut client, b"who is in stays").unwrap();
        assert_eq!(close(&doors.doors, &doors.sockets).len(), 1, "there is nothing to close");
    }

    #[test]
    fn what_cannot_be_listened_on_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display().to_string();
        let error = Doors::default().unix(&path, None, 0o660).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on unix://{path}: there is a directory"));
        let long = format!("/{}", "x".repeat(100));
        assert!(Doors::default().unix(&long, None, 0o660).unwrap_err().reason.contains("too long"));
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = Doors::default().tcp("tcp://here", held.local_addr().unwrap()).unwrap_err();
        assert!(error.reason.contains("EADDRINUSE"), "{error}");
    }

    fn setsockopt_and_connect(address: SocketAddr, mark: u32) -> Result<(), Errno> {
        let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&fd, sockopt::Mark, &mark)?;
        // connect(2) gives up after the time for sending (socket(7): SO_SNDTIMEO), and is then still at it.
        setsockopt(&fd, sockopt::SendTimeout, &nix::sys::time::TimeVal::new(0, 300_000))?;
        nix::sys::socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(address)).map_err(|error| match error {
            Errno::EINPROGRESS => Errno::EAGAIN,
            other => other,
        })
    }

    #[test]
    fn a_tcp_client_waits_until_the_doors_open() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut doors = Doors::default();
        doors.tcp("tcp://x", SocketAddr::new("0.0.0.0".parse().unwrap(), free.port())).unwrap();
        let early = TcpStream::connect_timeout(&free, Duration::from_millis(300)).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::TimedOut, "neither refused nor reset: {early}");
        // One whose packets have the mark gets in; another mark is none.
        let knock = |mark| setsockopt_and_connect(free, mark);
        assert!(knock(doors.mark().unwrap()).is_ok());
        assert_eq!(knock(doors.mark().unwrap() ^ 1).unwrap_err(), Errno::EAGAIN);
        let start = Instant::now();
        let client = std::thread::spawn(move || TcpStream::connect(free).map(drop));
        std::thread::sleep(Duration::from_millis(200));
        open(&doors.doors, &doors.sockets).unwrap();
        client.join().unwrap().unwrap();
        assert!(start.elapsed() > Duration::from_millis(200));
        let mut inside = TcpStream::connect(free).unwrap();
        assert_eq!(close(&doors.doors, &doors.sockets), [""; 0]);
        let late = TcpStream::connect_timeout(&free, Duration::from_millis(300)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut, "neither refused nor reset: {late}");
        std::io::Write::write_all(&mut inside, b"who is in stays").unwrap();
    }

    #[test]
    fn doors_are_kept_in_their_order_each_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let mut doors = Doors::default();
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        assert_eq!((doors.doors(), doors.raw()), (&[][..], vec![]));
        for _ in 0..2 {
            doors.unix(&path("a.sock"), Some(7), 0o660).unwrap();
            doors.tcp("tcp://x", any).unwrap();
            doors.unix(&path("b.sock"), None, 0o600).unwrap();
        }
        let unix = |name: &str, group, mode| Door::Unix {
            hidden: path(&format!(".{name}.dindcheck")),
            public: path(name),
            group,
            mode,
        };
        let wanted =
            [unix("a.sock", Some(7), 0o660), Door::Tcp { address: "tcp://x".to_owned() }, unix("b.sock", None, 0o600)];
        assert_eq!(doors.doors(), wanted);
        let name = |fd: &OwnedFd| nix::sys::socket::getsockname::<SockaddrStorage>(fd.as_raw_fd()).unwrap();
        let families = doors.sockets.iter().map(|fd| name(fd).as_unix_addr().is_some()).collect::<Vec<_>>();
        assert_eq!(families, [true, false, true]);
        assert_eq!(doors.raw(), doors.sockets.iter().map(|fd| fd.as_raw_fd()).collect::<Vec<_>>());
    }

    #[test]
    fn hidden_names_are_removed_where_a_socket_has_them() {
        let directory = tempfile::tempdir().unwrap();
        let mut doors = Doors::default();
        let hidden = ["a", "b", "c"].map(|name| {
            doors.unix(&directory.path().join(name).display().to_string(), None, 0o660).unwrap();
            directory.path().join(format!(".{name}.dindcheck"))
        });
        fs::remove_file(&hidden[1]).unwrap();
        fs::write(&hidden[1], "of another").unwrap();
        fs::remove_file(&hidden[2]).unwrap();
        remove(doors.doors());
        assert_eq!(hidden.map(|path| path.exists()), [false, true, false]);
    }

    #[test]
    fn a_descriptor_is_taken_by_its_number() {
        use std::os::fd::IntoRawFd as _;
        let number = fs::File::open("/dev/null").unwrap().into_raw_fd();
        // SAFETY: fcntl takes numbers and touches no memory.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
        let taken = take(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        let flags = nix::fcntl::fcntl(&taken, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, libc::FD_CLOEXEC, "children do not get it");
        assert_eq!(take(i32::MAX).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
