//! How the daemon is told to listen.

use super::{Check, Docs};
use crate::configuration::{Configuration, Host, Problem};
use crate::facts::validation::Answer;
use crate::facts::{FactError, Facts};
use crate::finding::{Evidence, Severity, Verdict};
use crate::fix::{self, Fix};
use crate::profile::Profile;

/// configuration.accepted
pub(super) struct Accepted;

impl Check for Accepted {
    fn id(&self) -> &'static str {
        "configuration.accepted"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "flags and daemon.json",
            motivation: "A daemon dies of a flag or key that its version does not know or has no more, and of an \
                         option that is given both as a flag and in daemon.json: `hosts` above all, which images set \
                         one way and users the other.",
            looks_at: "What `dockerd --validate` says of the flags and daemon.json; where the version has none (before \
                       23.0), both against the flags and keys that it is known to have.",
            remedy: "Remove the named flag or key, or set it in one place only.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let validation = match &facts.validation {
            Ok(validation) => validation,
            Err(error) if error.verb == "parse" => {
                return Ok(refused(profile, format!("{} is no JSON", error.path), &error.path, &error.reason));
            }
            Err(error) => return Err(error),
        };
        let asked = validation.command.as_str();
        match &validation.answer {
            Answer::Accepted if asked.is_empty() => return Ok(Verdict::pass("nothing is configured")),
            Answer::Accepted => return Ok(Verdict::pass("the daemon accepts it")),
            Answer::Refused(reason) => return Ok(refused(profile, first_words(reason), asked, reason)),
            Answer::NotAsked => {}
        }
        Ok(match unacceptable(facts.configuration.as_ref()?, asked) {
            Some((summary, location, value)) => refused(profile, summary, &location, &value),
            None => Verdict::pass("each flag and key is known, and none is said twice"),
        })
    }
}

/// What a daemon of this version would not accept: in words, where, and what stands there.
fn unacceptable(configuration: &Configuration, command: &str) -> Option<(String, String, String)> {
    let (file, command) = (configuration.file.path.clone(), command.to_owned());
    Some(match configuration.problems.first()? {
        Problem::Word(problem) => (problem.clone(), command, "no such flag".to_owned()),
        Problem::Argument(word) => (format!("unexpected argument: {word}"), command, word.clone()),
        Problem::UnknownKey(key) => (format!("unknown key: {key}"), file, key.clone()),
        Problem::Twice(key) => (format!("both a flag and a key: {key}"), file, key.clone()),
        Problem::Value(flag, value) => {
            (format!("--{flag} is a switch, and {value} is no value"), command, value.clone())
        }
    })
}

/// The end of a reason is what matters: `unable to configure … with file …: the following directives …`.
fn first_words(reason: &str) -> String {
    let last = reason.split_once(" with file ").and_then(|(_, rest)| rest.split_once(": "));
    let last = last.map_or(reason, |(_, last)| last);
    last.split(" (from flag").next().unwrap_or(last).to_owned()
}

fn refused(profile: &Profile, summary: String, location: &str, value: &str) -> Verdict {
    Verdict::fail(Severity::Blocking, summary)
        .saw_wanted(location, value, "what this version accepts")
        .because(format!("Docker {} dies of it at once.", profile.version))
        .remedy("remove it, or set it in one place only: as a flag or in daemon.json")
        .source(profile.launch_config_files.source.clone())
}

/// configuration.mounted-socket
pub(super) struct MountedSocket;

impl Check for MountedSocket {
    fn id(&self) -> &'static str {
        "configuration.mounted-socket"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "a socket of another daemon",
            motivation: "With -v /var/run/docker.sock:/var/run/docker.sock the host's daemon answers where the inner one \
                         shall listen: the inner one cannot, and dies, and each client works on the host without \
                         knowing it.",
            looks_at: "Mounts on the unix sockets that the daemon will listen on.",
            remedy: "Leave the mount out, or have the daemon listen elsewhere: dindcheck -- -H unix:///run/inner.sock.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let configuration = facts.configuration.as_ref()?;
        let mounts = facts.mounts.as_ref()?;
        let listens = configuration.listens();
        let mut sockets: Vec<&str> = listens.iter().filter_map(Host::unix).collect();
        if sockets.is_empty() {
            sockets.push(&configuration.defaults.socket);
        }
        // /var/run is a link to /run wherever there is a /run, and the mount table knows no links.
        let mount = sockets.iter().find_map(|path| {
            mounts.at(path).or_else(|| mounts.at(path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/"))?))
        });
        let Some(mount) = mount else {
            return Ok(Verdict::pass(format!("nothing is mounted on {}", sockets.join(", "))));
        };
        Ok(Verdict::fail(Severity::Blocking, format!("{} is mounted from outside", mount.point))
            .saw_wanted(mount.location(), mount.describe(), "no mount")
            .because("The daemon cannot put its socket there, and clients talk to whoever listens outside.")
            .remedy("leave -v /var/run/docker.sock out of the outer docker run")
            .remedy("or dindcheck -- -H unix:///run/inner.sock, and DOCKER_HOST for the clients")
            .source("moby daemon/listeners"))
    }
}

/// configuration.client
pub(super) struct Client;

impl Check for Client {
    fn id(&self) -> &'static str {
        "configuration.client"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "the client's API",
            motivation: "A daemon refuses clients that are too old for it, 29.0 all those before 25.0 (API 1.44): an \
                         image that has its engine from one place and its client from another, or that sets \
                         DOCKER_API_VERSION, has a daemon that nobody can talk to.",
            looks_at: "The API version that `docker version` says of the client, with DOCKER_API_VERSION and \
                       DOCKER_MIN_API_VERSION, against what this version takes.",
            remedy: "A newer client, no DOCKER_API_VERSION, or DOCKER_MIN_API_VERSION for the daemon.",
            since: "25.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let client = facts.client.as_ref()?;
        let Some(api) = client.api else {
            return Ok(Verdict::pass(format!("this version takes every client from {} on", profile.api_min.value)));
        };
        // The variable raises the minimum as well as it lowers it, in the versions that read it.
        let is_read = profile.launch_environment.value.iter().any(|name| name == "DOCKER_MIN_API_VERSION");
        let least = client.daemon_takes.filter(|_| is_read).unwrap_or(profile.api_min.value);
        if api >= least {
            return Ok(Verdict::pass(format!("the client speaks {api}, and {least} is enough")));
        }
        let mut verdict = Verdict::fail(
            Severity::Warning,
            format!("the client speaks {api}, and the daemon takes {least} and later"),
        )
        .saw_wanted("docker version: API version of the client", api.to_string(), format!("{least} or later"));
        if let Some(held_to) = &client.held_to {
            verdict = verdict.saw("DOCKER_API_VERSION", held_to.clone()).remedy("leave DOCKER_API_VERSION out");
        }
        Ok(verdict
            .because("The daemon answers it with \"client version … is too old\".")
            .remedy("a client that is as new as the daemon")
            .remedy(format!("or DOCKER_MIN_API_VERSION={api} for the daemon, from 24.0 on"))
            .source(profile.api_min.source.clone()))
    }
}

/// configuration.open-tcp
pub(super) struct OpenTcp;

impl Check for OpenTcp {
    fn id(&self) -> &'static str {
        "configuration.open-tcp"
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "API open to the network",
            motivation: "Whoever reaches the API of a daemon in a privileged container is root on its host. On a TCP \
                         address without client certificates that is everybody in its network.",
            looks_at: "The addresses and the TLS settings among the daemon's flags and in daemon.json.",
            remedy: "Set DOCKER_TLS_CERTDIR, which makes certificates and asks for them, or share the unix socket.",
            since: "1.0",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, _profile: &Profile) -> Result<Verdict, &'f FactError> {
        let configuration = facts.configuration.as_ref()?;
        let listens = configuration.listens();
        let tcp: Vec<&Host> = listens.iter().filter(|host| host.tcp().is_some()).collect();
        let tls = configuration.tls();
        if tcp.is_empty() {
            return Ok(Verdict::pass("the API is on no TCP address"));
        }
        if tls.as_ref().is_some_and(|tls| tls.verify) {
            return Ok(Verdict::pass("the API asks for client certificates"));
        }
        let open: Vec<&Host> = tcp.into_iter().filter(|host| !host.is_local()).collect();
        if open.is_empty() {
            return Ok(Verdict::pass("the API is on a loopback address alone"));
        }
        let addresses: Vec<&str> = open.iter().map(|host| host.text.as_str()).collect();
        let how = match &tls {
            Some(tls) if tls.on => "with TLS, and asks no client for a certificate",
            _ => "without TLS",
        };
        Ok(Verdict::fail(Severity::Warning, format!("anybody may use the API at {} {how}", addresses.join(", ")))
            .evidence(open.iter().map(|host| Evidence {
                location: host.origin.to_string(),
                value: host.text.clone(),
                wanted: Some("--tlsverify, a loopback address, or none".to_owned()),
            }))
            .because("Whoever reaches it is root in this container, and with --privileged on the host.")
            .remedy("set DOCKER_TLS_CERTDIR=/certs: certificates are made there, and clients are asked for theirs")
            .remedy("or share the unix socket in a volume instead")
            .source("moby docs/security: protect the Docker daemon socket"))
    }
}

/// configuration.tcp-delay
pub(super) struct TcpDelay;

impl Check for TcpDelay {
    fn id(&self) -> &'static str {
        "configuration.tcp-delay"
    }

    fn mend(&self) -> Option<&'static str> {
        Some("starts the daemon with --tls=false, which says what is the case anyway")
    }

    fn docs(&self) -> Docs {
        Docs {
            title: "a start without a wait",
            motivation: "Where a TCP address has no TLS and nobody says that it shall have none, the daemon waits 16 s at \
                         each start, to warn of it: health checks and jobs give up meanwhile.",
            looks_at: "The addresses and the TLS settings among the daemon's flags and in daemon.json.",
            remedy: "DOCKER_TLS_CERTDIR, which makes certificates; or --tls=false, which dindcheck --fix adds.",
            since: "20.10",
        }
    }

    fn run<'f>(&self, facts: &'f Facts, profile: &Profile) -> Result<Verdict, &'f FactError> {
        let configuration = facts.configuration.as_ref()?;
        let delay = &profile.network_tcp_without_tls_delay_s;
        if delay.value == 0 {
            return Ok(Verdict::not_applicable("this engine does not wait"));
        }
        let hosts = configuration.hosts();
        let tcp = hosts.iter().find(|host| host.tcp().is_some() && !host.is_local());
        let Some(host) = tcp.filter(|_| configuration.tls().is_none()) else {
            return Ok(Verdict::pass("no TCP address whose TLS is left open"));
        };
        Ok(Verdict::fail(Severity::Warning, format!("the daemon will wait {} s before it starts", delay.value))
            .saw_wanted(host.origin.to_string(), host.text.clone(), "--tlsverify, or --tls=false")
            .because("It warns of an address without TLS that nobody has said is meant to be so.")
            .remedy("set DOCKER_TLS_CERTDIR=/certs: certificates are made there, and clients are asked for theirs")
            .remedy("or dindcheck -- --tls=false, or let dindcheck --fix add it: the address is as open as before")
            .source(delay.source.clone()))
    }

    fn fix(&self, facts: &Facts, _profile: &Profile) -> Option<Fix> {
        facts.configuration.as_ref().ok()?.tls().is_none().then(|| fix::configuration::say_no_tls(self.id()))
    }
}
