//! The one way to the daemon: each request on a connection of its own, with a bound on how much is read and how long an
//! answer may take, its body included.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// More bytes than this no answer has, unless it is a file system.
const MAX_ANSWER: u64 = 64 << 20;

/// Where the daemon listens.
#[derive(Clone)]
pub enum Place {
    /// At a unix socket.
    Unix(String),
    /// At a TCP address, without TLS.
    Tcp(SocketAddr),
    /// The same with TLS.
    Tls {
        /// The address.
        place: SocketAddr,
        /// What both sides prove.
        connector: TlsConnector,
        /// The name by which the server proves itself.
        name: ServerName<'static>,
    },
}

impl Place {
    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(place) => Box::new(TcpStream::connect(place).await?),
            Self::Tls { place, connector, name } => {
                Box::new(connector.connect(name.clone(), TcpStream::connect(place).await?).await?)
            }
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => f.write_str(path),
            Self::Tcp(place) | Self::Tls { place, .. } => write!(f, "tcp://{place}"),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where the daemon listens, and how long it may take.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) place: Place,
    /// For a whole request and its answer; for one that lasts as long as something in the engine, for its beginning.
    pub(super) timeout: Duration,
}

impl Line {
    /// Whether the daemon is a process of our pid namespace: of one in another namespace the kernel gives the pid as 0,
    /// or as that of its place in ours (unix(7): SO_PEERCRED).
    pub(super) async fn is_beside(&self) -> bool {
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let Place::Unix(path) = &self.place else { return false };
        let peer = UnixStream::connect(path).await.and_then(|stream| stream.peer_cred());
        let pid = peer.ok().and_then(|credentials| credentials.pid()).filter(|pid| *pid > 0);
        let theirs = pid.and_then(|pid| namespace(&pid.to_string()));
        theirs.is_some() && theirs == namespace("self")
    }

    /// Sends a request; gives the answer when it begins.
    pub(super) async fn send<B>(&self, mut request: Request<B>) -> Result<Response<Incoming>, Error>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let path = request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let limit = if is_file_system(&path) { u64::MAX } else { MAX_ANSWER };
        let deadline = (!lasts(&path)).then(|| Box::pin(sleep(self.timeout)));
        *request.uri_mut() = path.parse::<Uri>().map_err(hyper::http::Error::from)?;
        request.headers_mut().entry(HOST).or_insert(hyper::header::HeaderValue::from_static("docker"));
        let stream = Bounded { stream: self.place.connect().await?, left: limit, deadline };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The connection moves what is sent and received, until the answer is read or dropped.
        tokio::spawn(connection.with_upgrades());
        Ok(sender.send_request(request).await?)
    }

    /// Asks for a path; gives the status and the body.
    pub(super) async fn ask(&self, path: &str) -> Result<(u16, Bytes), Error> {
        let request = Request::get(path).body(Empty::<Bytes>::new())?;
        let asked = async {
            let answer = self.send(request).await?;
            let status = answer.status().as_u16();
            Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        tokio::time::timeout(self.timeout, asked).await.unwrap_or(Err(Error::RequestTimeoutError))
    }
}

/// Whether an answer goes on as long as something in the engine does: a container, a transfer.
fn lasts(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    ["/wait", "/logs", "/images/create", "/images/load", "/build", "/export", "/start"]
        .iter()
        .any(|end| path.ends_with(end))
}

fn is_file_system(path: &str) -> bool {
    path.ends_with("/export")
}

/// A stream that gives no more than so many bytes, and nothing after its deadline.
struct Bounded {
    stream: Box<dyn Stream>,
    /// How many bytes may still come.
    left: u64,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")));
        }
        if self.left == 0 {
            let error = format!("the answer has more than {} MiB", MAX_ANSWER >> 20);
            return Poll::Ready(Err(io::Error::other(error)));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let count = u64::try_from(buffer.filled().len() - before).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(count);
        read
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::api::{Api, block_on};
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    /// A daemon that answers each request so; gives what asking for its version came to.
    fn asked(answer: impl Fn(&mut std::os::unix::net::UnixStream) -> io::Result<()> + Send + 'static) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = answer(&mut stream);
            }
        });
        let connected = block_on(Api::connect(&path.display().to_string(), Duration::from_secs(1))).unwrap();
        connected.map_or_else(|error| error.to_string(), |api| format!("{} {}", api.engine, api.version))
    }

    fn headers(rest: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{rest}\r\n\r\n")
    }

    #[test]
    fn answers_that_do_not_end_are_given_up() {
        let start = Instant::now();
        let slow = asked(|stream| {
            stream.write_all(headers("Content-Length: 1000").as_bytes())?;
            loop {
                stream.write_all(b" ")?;
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        assert!(slow.ends_with("no answer in time"), "{slow}");
        assert!(start.elapsed() < Duration::from_secs(5));
        let endless = asked(|stream| {
            stream.write_all(headers("Connection: close").as_bytes())?;
            loop {
                stream.write_all(&[b' '; 1 << 16])?;
            }
        });
        assert!(endless.ends_with("the answer has more than 64 MiB") || endless.ends_with("in time"), "{endless}");
    }

    #[test]
    fn the_version_that_both_sides_speak() {
        for (own, least, spoken) in [
            ("1.19", None, "1.19"),
            ("1.51", Some("1.24"), "1.51"),
            ("1.60", Some("1.40"), "1.53"),
            ("1.60", Some("1.55"), "1.55"),
        ] {
            let least = least.map_or_else(String::new, |least| format!(",\"MinAPIVersion\":\"{least}\""));
            let body = format!("{{\"Version\":\"1.2.3\",\"ApiVersion\":\"{own}\"{least}}}");
            let answer = headers(&format!("Content-Length: {}", body.len())) + &body;
            assert_eq!(asked(move |stream| stream.write_all(answer.as_bytes())), format!("1.2.3 {spoken}"));
        }
    }

    #[test]
    fn what_lasts_is_told_from_what_is_answered_at_once() {
        for path in
            ["/v1.51/containers/x/wait", "/containers/x/logs?follow=true", "/exec/x/start", "/images/create?a=/b"]
        {
            assert!(lasts(path), "{path}");
        }
        for path in ["/version", "/containers/x/json", "/containers/json?all=true", "/events?until=1"] {
            assert!(!lasts(path), "{path}");
        }
    }
}
