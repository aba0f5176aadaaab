//! A daemon as a client meets it: at the address in DOCKER_HOST, with the certificates in DOCKER_CERT_PATH, by the rules of
//! the docker client (docker/cli, cli/context/docker/load.go; cli/flags/options.go).

mod tls;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect as connect_to, setsockopt, socket as open, sockopt,
};
use serde::{Deserialize, Serialize};

use super::api::Place;
use super::socket;
use crate::configuration::{Address, Configuration};
use crate::foreign::Foreign;
use crate::process;

/// The port of an address that leaves it out, with TLS (docker/cli opts/hosts.go).
const TLS_PORT: u16 = 2376;
/// How long one attempt to connect takes: what is dropped until the daemon is proved is tried again sooner than the kernel
/// would send it again.
const CONNECT: Duration = Duration::from_millis(250);

/// How much is read of an answer that is shown, in bytes.
const MAX_ANSWER: usize = 16 << 10;

/// Where a client finds the daemon, and how both prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The address.
    pub address: Address,
    /// With TLS: the client's certificates.
    pub credentials: Option<Credentials>,
}

/// A client's certificates: ca.pem, cert.pem and key.pem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The directory that they are in.
    pub directory: PathBuf,
    /// Whether the server's certificate has to be one of that CA for its name.
    pub verify: bool,
}

impl Remote {
    /// The daemon of an environment in which `variable` gives the values; `None` if it names none.
    ///
    /// # Errors
    /// An address that is neither of a unix socket nor of TCP.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Result<Self, String>> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = Foreign::from(set("DOCKER_HOST")?);
        let verify = set("DOCKER_TLS_VERIFY").is_some();
        let directory = set("DOCKER_CERT_PATH").map(PathBuf::from);
        let directory = directory.or_else(|| Some(PathBuf::from(set("HOME")?).join(".docker"))).unwrap_or_default();
        let credentials = (verify || set("DOCKER_TLS").is_some()).then_some(Credentials { directory, verify });
        let hosts = Configuration::of_words(&["--host", text.raw()]).hosts();
        Some(match hosts.into_iter().next().map(|host| host.address) {
            Some(Address::Tcp { host, port }) => {
                let has_port =
                    text.raw().rsplit(']').next().is_some_and(|end| end.trim_start_matches("tcp://").contains(':'));
                let port = if credentials.is_some() && !has_port { TLS_PORT } else { port };
                Ok(Self { address: Address::Tcp { host, port }, credentials })
            }
            Some(address @ Address::Unix(_)) => Ok(Self { address, credentials: None }),
            _ => Err(format!("DOCKER_HOST={}: only unix:// and tcp:// addresses can be asked", text.line())),
        })
    }

    /// Where a client's requests go, `place` being an address of a TCP host's name.
    ///
    /// # Errors
    /// Certificates that cannot be used, in words.
    pub fn place(&self, place: SocketAddr) -> Result<Place, String> {
        match (&self.address, &self.credentials) {
            (Address::Unix(path), _) => Ok(Place::Unix(path.clone())),
            (Address::Tcp { .. }, None) => Ok(Place::Tcp(place)),
            (Address::Tcp { host, .. }, Some(credentials)) => {
                let connector = tls::configuration(credentials)?.into();
                Ok(Place::Tls { place, connector, name: tls::server_name(host)? })
            }
            _ => Err("no address that can be asked".to_owned()),
        }
    }

    /// Sends the request that every engine answers (API 1.0 on), as a client would.
    ///
    /// `places` are the addresses of a TCP host's name.
    ///
    /// # Errors
    /// Why a client would get no answer, in words.
    pub fn ping(&self, places: &[SocketAddr], deadline: Instant) -> Result<(), String> {
        match &self.address {
            Address::Unix(path) => ping_unix(path, deadline).map_err(|error| error.to_string()),
            Address::Tcp { host, .. } => {
                let mut reasons = Vec::new();
                for place in places {
                    let knock = Knock { place: *place, mark: None };
                    match knock.ask(host, self.credentials.as_ref(), deadline) {
                        Ok(()) => return Ok(()),
                        Err(reason) => reasons.push(reason),
                    }
                }
                // Who has answered says more than who is not there.
                reasons.sort_by_key(|reason| matches!(reason, NoAnswer::NotThere(_)));
                let first = reasons.into_iter().next().map(NoAnswer::text);
                Err(first.unwrap_or_else(|| "its name has no address".to_owned()))
            }
            Address::Fd(_) | Address::Other(_) => Err("no address that can be asked".to_owned()),
        }
    }
}

/// A place that is knocked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knock {
    /// The place.
    pub place: SocketAddr,
    /// The mark of what is sent there, which a door that is closed to all others lets in (socket(7): SO_MARK).
    pub mark: Option<u32>,
}

impl Knock {
    /// Sends the request that every engine answers; `host` is the name by which the server has to prove itself.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub fn ping(&self, host: &str, credentials: Option<&Credentials>, deadline: Instant) -> Result<(), String> {
        self.ask(host, credentials, deadline).map_err(NoAnswer::text)
    }

    fn ask(&self, host: &str, credentials: Option<&Credentials>, deadline: Instant) -> Result<(), NoAnswer> {
        let place = self.place;
        // What is not there may come while it is waited for: it is read each time.
        let session = credentials.map(|credentials| tls::session(credentials, host)).transpose();
        let session = session.map_err(NoAnswer::Refused)?;
        let stream = self.connect(deadline).map_err(|error| {
            NoAnswer::NotThere(match error.kind() {
                io::ErrorKind::ConnectionRefused => format!("nothing listens at {place}"),
                io::ErrorKind::TimedOut => format!(
                    "{place} does not answer: the daemon is not proved yet, or a firewall drops what is sent to it"
                ),
                _ => format!("cannot connect to {place}: {error}"),
            })
        })?;
        let socket = stream.try_clone().map_err(|error| NoAnswer::Refused(error.to_string()))?;
        let limit = || {
            let left = left(deadline)?;
            socket.set_read_timeout(Some(left))?;
            socket.set_write_timeout(Some(left))
        };
        let answer = match session {
            Some(session) => ping(rustls::StreamOwned::new(session, stream), limit)
                .map_err(|error| tls::explain(&error, host, credentials)),
            None => ping(stream, limit).map_err(|error| match error.to_string() {
                // net/http/server.go: a TLS server's answer to plain HTTP.
                text if text.ends_with(" 400") => {
                    "it wants TLS: set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the client's certificates"
                        .to_owned()
                }
                text => text,
            }),
        };
        answer.map_err(NoAnswer::Refused)
    }

    /// Connects within the shorter of one attempt and what is left.
    fn connect(&self, deadline: Instant) -> io::Result<TcpStream> {
        let deadline = Instant::now() + CONNECT.min(left(deadline)?);
        let family = if self.place.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let stream = TcpStream::from(open(family, SockType::Stream, flags, None)?);
        if let Some(mark) = self.mark {
            setsockopt(&stream, sockopt::Mark, &mark)?;
        }
        match connect_to(stream.as_raw_fd(), &SockaddrStorage::from(self.place)) {
            Ok(()) => {}
            Err(Errno::EINPROGRESS | Errno::EINTR) => {
                if poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)], process::timeout(deadline))? == 0 {
                    return Err(late());
                }
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
            }
            Err(error) => return Err(error.into()),
        }
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

/// Why there is no answer, in words.
enum NoAnswer {
    /// No one could be connected to.
    NotThere(String),
    /// A server was reached and gave none, or none was tried since the client itself is not ready.
    Refused(String),
}

impl NoAnswer {
    fn text(self) -> String {
        match self {
            Self::NotThere(text) | Self::Refused(text) => text,
        }
    }
}

/// Whether a server listens there.
pub fn listens(place: SocketAddr) -> bool {
    TcpStream::connect_timeout(&place, CONNECT).is_ok()
}

/// The same by a unix socket.
///
/// # Errors
/// That nothing answers as a daemon does by the deadline.
pub fn ping_unix(path: &str, deadline: Instant) -> io::Result<()> {
    let stream = socket::connect(path, deadline)?;
    let handle = stream.try_clone()?;
    ping(stream, || limit_unix(&handle, deadline))
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

fn left(deadline: Instant) -> io::Result<Duration> {
    Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero()).ok_or_else(late)
}

fn ping(stream: impl Read + Write, limit: impl Fn() -> io::Result<()>) -> io::Result<()> {
    const STATUS_LINE: usize = "HTTP/1.1 200".len();
    let answer =
        exchange(stream, "GET /_ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", STATUS_LINE, limit)?;
    match answer.len() {
        STATUS_LINE if status_of(&answer) == Some(200) => Ok(()),
        STATUS_LINE => Err(io::Error::other(format!("the answer begins with {}", String::from_utf8_lossy(&answer)))),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Sends JSON to a server at a unix socket; gives the status of its answer, and the answer as text.
///
/// # Errors
/// That nothing answers as a server of HTTP does by the deadline.
pub fn post_unix(socket: &Path, path: &str, body: &str, deadline: Instant) -> io::Result<(u16, String)> {
    let stream = socket::connect(&socket.display().to_string(), deadline)?;
    let handle = stream.try_clone()?;
    let limit = || limit_unix(&handle, deadline);
    let length = body.len();
    let head = "Host: localhost\r\nConnection: close\r\nContent-Type: application/json";
    let request = format!("POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
    let answer = exchange(stream, &request, MAX_ANSWER, limit)?;
    let status = status_of(&answer).ok_or_else(|| io::Error::other("the answer is not one of HTTP"))?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    Ok((status, text.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned()).unwrap_or_default()))
}

fn limit_unix(stream: &UnixStream, deadline: Instant) -> io::Result<()> {
    let left = left(deadline)?;
    stream.set_read_timeout(Some(left))?;
    stream.set_write_timeout(Some(left))
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer.get(..12)?).ok()?;
    line.strip_prefix("HTTP/1.")?.split_once(' ')?.1.parse().ok()
}

/// One request and the first bytes of its answer, up to a number of them; `limit` is called before each call, since a
/// limit of its own for each would be one for each byte.
fn exchange(
    mut stream: impl Read + Write,
    request: &str,
    wanted: usize,
    limit: impl Fn() -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    limit()?;
    let sent = stream.write_all(request.as_bytes()).and_then(|()| stream.flush());
    // With TLS the handshake is done here, which reads as well.
    sent.map_err(|error| if error.kind() == io::ErrorKind::WouldBlock { late() } else { error })?;
    let mut answer = vec![0; wanted];
    let mut count = 0;
    while count < answer.len() {
        limit()?;
        match stream.read(&mut answer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        }
    }
    answer.truncate(count);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Result<Remote, String>> {
        Remote::of_environment(|name| {
            variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_is_read_as_the_client_does() {
        let address = |variables: &[(&str, &str)]| of(variables).unwrap().unwrap().address.to_string();
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("DOCKER_HOST", "")]), None);
        assert_eq!(address(&[("DOCKER_HOST", "unix:///run/x.sock")]), "unix:///run/x.sock");
        assert_eq!(address(&[("DOCKER_HOST", "tcp://docker")]), "tcp://docker:2375");
        assert_eq!(address(&[("DOCKER_HOST", "tcp://docker"), ("DOCKER_TLS_VERIFY", "1")]), "tcp://docker:2376");
        assert_eq!(address(&[("DOCKER_HOST", "tcp://docker:1"), ("DOCKER_TLS", "1")]), "tcp://docker:1");
        assert_eq!(address(&[("DOCKER_HOST", "tcp://[::1]"), ("DOCKER_TLS", "1")]), "tcp://[::1]:2376");
        assert!(of(&[("DOCKER_HOST", "ssh://host")]).unwrap().unwrap_err().contains("ssh://host"));
        let remote = of(&[("DOCKER_HOST", "tcp://d"), ("DOCKER_TLS_VERIFY", "1"), ("HOME", "/root")]);
        let credentials = remote.unwrap().unwrap().credentials.unwrap();
        assert_eq!(credentials, Credentials { directory: "/root/.docker".into(), verify: true });
    }

    /// Answers one request at a unix socket with these bytes; gives what came of asking, and the request.
    fn answered<T>(answer: &'static [u8], ask: impl FnOnce(&str) -> T) -> (T, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock").display().to_string();
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        let asked = ask(&path);
        (asked, server.join().unwrap())
    }

    #[test]
    fn only_a_whole_answer_that_all_is_well_is_one() {
        let soon = || Instant::now() + Duration::from_secs(30);
        let ping = |answer| answered(answer, |path| ping_unix(path, soon()).map_err(|error| error.to_string()));
        let (pinged, request) = ping(b"HTTP/1.1 200 OK\r\n\r\nOK");
        assert_eq!(pinged, Ok(()));
        assert!(request.starts_with("GET /_ping HTTP/1.1\r\n") && request.ends_with("\r\n\r\n"), "{request}");
        assert_eq!(ping(b"HTTP/1.0 200 OK\r\n").0, Ok(()));
        assert_eq!(ping(b"HTTP/1.1 503 Not yet\r\n").0, Err("the answer begins with HTTP/1.1 503".to_owned()));
        assert_eq!(ping(b"SSH-2.0-x SSH\r\n").0, Err("the answer begins with SSH-2.0-x SS".to_owned()));
        assert!(ping(b"HTTP/1.1").0.is_err() && ping(b"").0.is_err());
        assert!(ping_unix("/nonexistent.sock", soon()).is_err());
        let remote = of(&[("DOCKER_HOST", "unix:///nonexistent.sock")]).unwrap().unwrap();
        assert!(remote.ping(&[], soon()).is_err());
    }

    #[test]
    fn what_is_posted_is_answered_with_status_and_text() {
        let soon = Instant::now() + Duration::from_secs(30);
        let post = |answer| answered(answer, |path| post_unix(Path::new(path), "/x", "{\"a\":1}", soon));
        let (posted, request) = post(b"HTTP/1.1 409 Conflict\r\nA: b\r\n\r\n in use \r\n\r\nmore\n");
        assert_eq!(posted.unwrap(), (409, "in use \r\n\r\nmore".to_owned()));
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /x HTTP/1.1\r\n") && head.ends_with("Content-Length: 7"), "{head}");
        assert_eq!(body, "{\"a\":1}");
        assert_eq!(post(b"HTTP/1.1 200 OK\r\n").0.unwrap(), (200, String::new()));
        assert!(post(b"SSH-2.0-x y\r\n").0.is_err());
    }

    #[test]
    fn who_is_there_says_more_than_who_is_not() {
        let soon = || Instant::now() + Duration::from_secs(30);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(listens(place) && !listens(gone));
        // What `listens` has left in the queue.
        drop(listener.accept().unwrap());
        let answers: [&[u8]; 3] = [b"HTTP/1.0 400 Bad Request\r\n", b"HTTP/1.1 500 x\r\n", b"HTTP/1.1 200 OK\r\n"];
        let server = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]).unwrap();
                stream.write_all(answer).unwrap();
            }
        });
        let remote = of(&[("DOCKER_HOST", "tcp://docker:2375")]).unwrap().unwrap();
        let ping = |places: &[SocketAddr]| remote.ping(places, soon());
        assert_eq!(ping(&[]).unwrap_err(), "its name has no address");
        assert_eq!(ping(&[gone]).unwrap_err(), format!("nothing listens at {gone}"));
        assert!(ping(&[gone, place]).unwrap_err().starts_with("it wants TLS: "));
        assert_eq!(ping(&[gone, place]).unwrap_err(), "the answer begins with HTTP/1.1 500");
        assert_eq!(ping(&[gone, place]), Ok(()));
        assert!(ping(&[place]).is_err() && remote.ping(&[place], Instant::now()).is_err());
        server.join().unwrap();
    }

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
        let error = ping_unix(&path, start + Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() < Duration::from_millis(450));
        slow.join().unwrap();
    }

    /// As a socket with a time limit answers in a handshake of TLS that nothing continues.
    struct Silent;

    impl Read for Silent {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    impl Write for Silent {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Reads as a list says, and writes nothing.
    struct Scripted(Vec<Result<&'static [u8], io::ErrorKind>>);

    impl Read for Scripted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = if self.0.is_empty() { Ok(&[][..]) } else { self.0.remove(0) }?;
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_interrupted_read_goes_on_and_one_without_an_answer_is_late() {
        use io::ErrorKind::{ConnectionReset, Interrupted, TimedOut, WouldBlock};
        let ping = |reads: &[Result<&'static [u8], io::ErrorKind>]| {
            ping(Scripted(reads.to_vec()), || Ok(())).map_err(|error| error.kind())
        };
        assert_eq!(ping(&[Ok(b"HTTP/1.1"), Err(Interrupted), Ok(b" 200")]), Ok(()));
        assert_eq!(ping(&[Ok(b"HTTP/1.1"), Err(WouldBlock), Ok(b" 200")]), Err(TimedOut));
        assert_eq!(ping(&[Ok(b"HTTP/1.1"), Err(ConnectionReset), Ok(b" 200")]), Err(ConnectionReset));
        assert_eq!(ping(&[Ok(b"HTTP/1.1")]), Err(io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn requests_go_to_the_socket_or_to_an_address_of_the_host() {
        let place = SocketAddr::from(([192, 0, 2, 1], 2376));
        let at = |address: Address, credentials: Option<Credentials>| {
            let found = Remote { address, credentials }.place(place)?;
            Ok::<_, String>((found.to_string(), matches!(found, Place::Tls { .. })))
        };
        let tcp = || Address::Tcp { host: "docker".to_owned(), port: 2376 };
        assert_eq!(at(Address::Unix("/run/x.sock".to_owned()), None), Ok(("/run/x.sock".to_owned(), false)));
        assert_eq!(at(tcp(), None), Ok(("tcp://192.0.2.1:2376".to_owned(), false)));
        let credentials = Credentials { directory: "/nonexistent".into(), verify: true };
        assert_eq!(at(tcp(), Some(credentials)), Err("/nonexistent/ca.pem is not there".to_owned()));
        assert_eq!(at(Address::Fd("*".to_owned()), None), Err("no address that can be asked".to_owned()));
    }

    #[test]
    fn a_handshake_without_an_answer_is_late() {
        let error = ping(Silent, || Ok(())).unwrap_err();
        assert_eq!(error.to_string(), late().to_string());
    }
}
