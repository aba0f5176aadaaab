//! Waiting, when we are asked to stop, until those who are at work are done: `--drain`.
//!
//! A container is at work until it ends. A build, a pull or a push is at work as long as its client is connected: the
//! daemon gives it up when the client goes (moby api/server: the request's context). So what is waited for is the end of
//! the containers and of the connections. The doors are closed meanwhile, so that both only become fewer.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::api::{self, Api, ApiError};
use super::end::{Plan, report};
use super::stop::UNLESS_STOPPED;
use crate::foreign::Foreign;

/// How often connections and containers are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// How long the daemon may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Of the time, what is left for the report: a fraction of it, and so much at most.
const REPORT: (u32, Duration) = (10, Duration::from_millis(500));
/// The restart policies of containers that are services: they do not end by themselves.
const SERVICE: [&str; 2] = ["always", UNLESS_STOPPED];
/// In /proc/net/unix, the state of a connected socket (linux/net.h: SS_CONNECTED).
const UNIX_CONNECTED: &str = "03";
/// In /proc/net/tcp, that of an established connection (net/tcp_states.h).
const TCP_ESTABLISHED: &str = "01";

/// Who is at work.
#[derive(Debug, Default, PartialEq, Eq)]
struct Work {
    /// Connections of clients to the daemon's API.
    clients: usize,
    /// The names of running containers, without services.
    containers: Vec<Foreign>,
}

impl Work {
    fn is_done(&self) -> bool {
        self.clients == 0 && self.containers.is_empty()
    }
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let clients = match self.clients {
            0 => None,
            1 => Some("a client".to_owned()),
            more => Some(format!("{more} connections of clients")),
        };
        let containers = self.containers.iter().map(|name| format!("container {}", name.line()));
        f.write_str(&containers.chain(clients).collect::<Vec<_>>().join(", "))
    }
}

/// Waits until all work is done, `within` that time; reports for whom. `plan` is the file with the [`Plan`].
///
/// # Errors
/// The plan cannot be read.
pub fn wait(plan: &File, within: Duration) -> io::Result<()> {
    let start = Instant::now();
    let until = start + (within - (within / REPORT.0).min(REPORT.1));
    let plan = Plan::read(plan)?;
    let mut waits = false;
    loop {
        let work = look(&plan)?;
        if work.is_done() {
            if waits {
                report(&format!("everybody was done after {:.1} s", start.elapsed().as_secs_f32()));
            }
            return Ok(());
        }
        if !waits {
            waits = true;
            report(&format!("no new clients are let in; waiting up to {} s for {work}", within.as_secs()));
        }
        if Instant::now() >= until {
            report(&format!("not done in {} s: {work}", within.as_secs()));
            return Ok(());
        }
        sleep(LOOK_AGAIN);
    }
}

fn look(plan: &Plan) -> io::Result<Work> {
    // Before we are a client ourselves.
    let clients = connections(plan);
    let socket = plan.api.iter().find(|path| UnixStream::connect(path).is_ok());
    let Some(socket) = socket else { return Ok(Work { clients, containers: Vec::new() }) };
    // A daemon that does not answer has other troubles than those who are at work.
    Ok(Work { clients, containers: api::block_on(containers(socket))?.unwrap_or_default() })
}

async fn containers(socket: &str) -> Result<Vec<Foreign>, ApiError> {
    let api = Api::connect(socket, ANSWER).await?;
    let running = api.running().await?;
    let states = futures_util::future::join_all(running.iter().map(|container| api.state(container))).await;
    let at_work = states.into_iter().flatten().filter(|state| !SERVICE.contains(&state.restart.as_str()));
    Ok(at_work.map(|state| state.name).collect())
}

/// The connections to the daemon's API. An accepted unix socket is in the network namespace of the client (net/unix/af_unix.c,
/// unix_stream_connect): of a rootless daemon's, in the one that RootlessKit has left.
fn connections(plan: &Plan) -> usize {
    let read =
        |process: &str, name: &str| fs::read_to_string(format!("/proc/{process}/net/{name}")).unwrap_or_default();
    let ports: BTreeSet<u16> = plan.ports.iter().copied().collect();
    let outside = plan.outside.map(|process| unix(&read(&process.to_string(), "unix"), &plan.bound));
    unix(&read("self", "unix"), &plan.bound)
        + outside.unwrap_or_default()
        + tcp(&read("self", "tcp"), &ports)
        + tcp(&read("self", "tcp6"), &ports)
}

/// The accepted sockets in /proc/net/unix: they have the path that the listening one was bound to (unix(7)).
fn unix(table: &str, bound: &[String]) -> usize {
    let is_client = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let path = fields.get(7..).map(|words| words.join(" "));
        fields.get(5) == Some(&UNIX_CONNECTED) && path.is_some_and(|path| bound.contains(&path))
    };
    table.lines().filter(is_client).count()
}

/// The established connections to a port of ours in /proc/net/tcp or tcp6 (proc_net(5)).
fn tcp(table: &str, ports: &BTreeSet<u16>) -> usize {
    let is_client = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = fields.get(1).and_then(|local| u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok());
        fields.get(3) == Some(&TCP_ESTABLISHED) && port.is_some_and(|port| ports.contains(&port))
    };
    table.lines().filter(is_client).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_the_accepted_ends_of_connections() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 101 /run/.docker.sock.dindcheck\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 102 /run/.docker.sock.dindcheck\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 103\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 104 /run/containerd/containerd.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 105 /run/a b/.docker.sock.dindcheck\n";
        let bound = |path: &str| vec![path.to_owned()];
        assert_eq!(unix(table, &bound("/run/.docker.sock.dindcheck")), 1);
        assert_eq!(unix(table, &bound("/run/a b/.docker.sock.dindcheck")), 1);
        assert_eq!(unix(table, &[]), 0);
    }

    #[test]
    fn a_connection_counts_at_the_daemons_end() {
        let line = |local: &str, remote: &str, state: &str| {
            format!("   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 0 0 1 1 0 20 4 30 10 -1\n")
        };
        let table = [
            line("00000000000000000000000000000000:0948", "00000000000000000000000000000000:0000", "0A"),
            line("0000000000000000FFFF00000100007F:0948", "0000000000000000FFFF00000100007F:C350", "01"),
            line("0000000000000000FFFF00000100007F:C350", "0000000000000000FFFF00000100007F:0948", "01"),
            line("0000000000000000FFFF00000100007F:0948", "0000000000000000FFFF00000100007F:C352", "06"),
        ];
        assert_eq!(tcp(&table.concat(), &BTreeSet::from([2376])), 1);
        assert_eq!(tcp(&table.concat(), &BTreeSet::from([2375])), 0);
    }

    #[test]
    fn who_is_at_work_is_named() {
        let work = Work { clients: 2, containers: vec!["job".into()] };
        assert_eq!(work.to_string(), "container job, 2 connections of clients");
        assert_eq!(Work { clients: 1, containers: Vec::new() }.to_string(), "a client");
        assert!(!work.is_done() && Work::default().is_done());
    }
}
