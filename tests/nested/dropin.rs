//! Rows of the drop-in table on a real engine: the daemon as the official entrypoint starts it, and as ours does, side by
//! side in one container: where it listens, who gets in, and what it says of itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::lab::run_script;
use crate::rootless;

const TABLE: &str = include_str!("../dropin/table.yaml");

/// A row of the table, as far as it matters here (tests/dropin.rs has all of it).
#[derive(Deserialize)]
struct Row {
    given: String,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    json: Option<String>,
    official: String,
    mark: String,
    /// Whether the image is docker:dind-rootless.
    #[serde(default)]
    rootless: bool,
    /// Whether it is run here.
    #[serde(default)]
    real: bool,
}

/// What can be seen of a daemon from beside, a line each. A client without certificates, and one with them.
const LOOK: &str = r#"
    look() {
        for socket in /var/run/docker.sock /run/x.sock /run/y.sock /run/user/1000/docker.sock; do [ ! -S $socket ] || echo "listens at $socket"; done
        ports=$(cat /proc/net/tcp /proc/net/tcp6 | while read -r _ local _ state _; do
            [ "$state" != 0A ] || echo "$((0x${local##*:}))"
        done | sort -un)
        for port in $ports; do
            gets_in() { timeout 20 docker "$@" version -f '{{.Server.Version}}' > /dev/null 2>&1 && echo 'lets in' || echo 'keeps out'; }
            plain=$(gets_in -H tcp://127.0.0.1:$port)
            other=$(gets_in --tls -H tcp://localhost:$port)
            tls="--tlsverify --tlscacert /certs/client/ca.pem --tlscert /certs/client/cert.pem --tlskey /certs/client/key.pem"
            own=$(gets_in $tls -H tcp://localhost:$port)
            echo "port $port: $plain without TLS, $other with it, $own with a certificate"
        done
        docker -H unix://$1 info -f 'info {{.Driver}} {{.Debug}} {{.LoggingDriver}} {{json .RegistryConfig.Mirrors}} {{json .RegistryConfig.InsecureRegistryCIDRs}} {{json .DefaultAddressPools}} {{json .LiveRestoreEnabled}}'
        docker -H unix://$1 info -f '{{range .Labels}}label {{.}}{{println}}{{end}}' | sort
        docker -H unix://$1 network inspect bridge -f 'bridge {{json .Options}}'
        stat -c 'socket %a %U %G' $1
    }
    # The side, the socket, and its command line.
    side() {
        echo "SIDE $1"; socket=$2; shift 2
        $as "$@" > /tmp/log 2>&1 &
        pid=$!
        i=0
        while kill -0 $pid 2> /dev/null && [ $i -lt 600 ]; do
            ! docker -H unix://$socket version > /dev/null 2>&1 || { look $socket; break; }
            i=$((i + 1)); sleep 0.1
        done
        kill $pid 2> /dev/null
        wait $pid; status=$?
        [ $status = 0 ] && echo "it ends well" || { echo "it fails"; tail -n 3 /tmp/log >&2; }
        rm -rf /run/docker* /run/containerd /run/x.sock /run/y.sock /run/user/1000/* /tmp/log
    }
    # The certificates of both sides.
    export DOCKER_TLS_CERTDIR=/certs
    $as dindcheck --fix --exit --verify none > /tmp/first 2>&1 || { cat /tmp/first >&2; exit 9; }
    unset DOCKER_TLS_CERTDIR
    rm -rf /run/docker* /run/containerd /run/user/1000/*
"#;
/// How a user comes to be who starts the daemon.
const AS: &str = "as='setpriv --reuid=1000 --regid=1000 --init-groups'; install -d -m 1777 /run/user /certs
    install -d -o 1000 /run/user/1000; export XDG_RUNTIME_DIR=/run/user/1000";

fn script(row: &Row) -> String {
    let socket = row.variables.get("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://"));
    let socket = socket.unwrap_or(if row.rootless { "/run/user/1000/docker.sock" } else { "/var/run/docker.sock" });
    let before = match row.official.as_str() {
        "tls" => format!(
            "dockerd --host=unix://{socket} --host=tcp://0.0.0.0:2376 --tlsverify --tlscacert /certs/server/ca.pem \
             --tlscert /certs/server/cert.pem --tlskey /certs/server/key.pem"
        ),
        "plain" => format!("dockerd --host=unix://{socket} --host=tcp://0.0.0.0:2375"),
        _ => String::new(),
    };
    let before = match (row.rootless, row.official.as_str()) {
        (false, _) => before,
        (true, "tls") => format!("{} -p 0.0.0.0:2376:2376/tcp {before}", rootlesskit(row)),
        (true, _) => format!("{} {before}", rootlesskit(row)),
    };
    let variables: String = row.variables.iter().map(|(name, value)| format!("'{name}={value}' ")).collect();
    let json = match &row.json {
        Some(json) => format!("mkdir -p /etc/docker; echo '{json}' > /etc/docker/daemon.json"),
        None => "rm -f /etc/docker/daemon.json".to_owned(),
    };
    let given = &row.given;
    format!(
        "echo ROW\n{json}\nside official {socket} env -u DOCKER_HOST {before} {given}\nside ours {socket} env {variables}dindcheck --fix {given}\n"
    )
}

/// RootlessKit, as the official entrypoint starts it.
fn rootlesskit(row: &Row) -> String {
    let mtu = row.variables.get("DOCKERD_ROOTLESS_ROOTLESSKIT_MTU").map_or("1500", String::as_str);
    format!(
        "rootlesskit --net=slirp4netns --mtu={mtu} --disable-host-loopback --port-driver=builtin --copy-up=/etc --copy-up=/run"
    )
}

#[test]
fn rows_of_the_table_come_out_on_an_engine_as_they_are_computed() {
    come_out("28.5.2", false, "", &[], 12);
}

#[test]
fn rows_of_a_rootless_daemon_come_out_on_an_engine_as_they_are_computed() {
    let before = format!("{}; {AS}", rootless::TUN);
    come_out(rootless::INNER, true, &before, &rootless::OPTIONS, 2);
}

fn come_out(inner: &str, is_rootless: bool, before: &str, options: &[&str], least: usize) {
    let rows: Vec<Row> = serde_yaml::from_str(TABLE).expect("the table is sound");
    let rows: Vec<Row> = rows.into_iter().filter(|row| row.real && row.rootless == is_rootless).collect();
    assert!(rows.len() >= least, "{}", rows.len());
    let scripts: String = rows.iter().map(script).collect();
    let own = ["--docker-arg", "-v/certs", "--docker-arg", "--env=DOCKER_CONFIG=/nowhere"];
    let run = run_script(inner, &[&own, options].concat(), &format!("{before}\n{LOOK}{scripts}")).expect_status(0);
    let seen: Vec<&str> = run.stdout.split("ROW\n").skip(1).collect();
    assert_eq!(seen.len(), rows.len(), "{run}");
    for (row, seen) in rows.iter().zip(seen) {
        let (official, ours) = seen.split_once("SIDE ours\n").expect("two sides");
        let official = official.strip_prefix("SIDE official\n").expect("two sides");
        assert_ne!(row.mark, "different", "{}", row.given);
        assert_eq!(official, ours, "{} {:?} {:?}\n{}", row.given, row.variables, row.json, run.stderr);
        let is_refused =
            row.given.contains("no-such") || row.json.as_ref().is_some_and(|json| json.contains("no-such"));
        assert_eq!(official.contains("it fails"), is_refused, "{}: {official}", row.given);
        let is_seen =
            official.contains("info ") && (row.official != "tls" || official.contains("lets in with a certificate"));
        assert!(is_refused || is_seen, "{}: {official}", row.given);
    }
}
