//! Rows of the drop-in table on a real engine: the daemon as the official entrypoint starts it, and as ours does, side by
//! side in one container: where it listens, who gets in, and what it says of itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::lab::run_script;

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
    /// Whether it is run here.
    #[serde(default)]
    real: bool,
}

/// What can be seen of a daemon from beside, a line each. A client without certificates, and one with them.
const LOOK: &str = r#"
    look() {
        for socket in /var/run/docker.sock /run/x.sock /run/y.sock; do [ ! -S $socket ] || echo "listens at $socket"; done
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
        "$@" > /tmp/log 2>&1 &
        pid=$!
        i=0
        while kill -0 $pid 2> /dev/null && [ $i -lt 600 ]; do
            ! docker -H unix://$socket version > /dev/null 2>&1 || { look $socket; break; }
            i=$((i + 1)); sleep 0.1
        done
        kill $pid 2> /dev/null
        wait $pid; status=$?
        [ $status = 0 ] && echo "it ends well" || { echo "it fails"; tail -n 3 /tmp/log >&2; }
        rm -rf /run/docker* /run/containerd /run/x.sock /run/y.sock /tmp/log
    }
    # The certificates of both sides.
    DOCKER_TLS_CERTDIR=/certs dindcheck --fix --exit --verify none > /tmp/first 2>&1 || { cat /tmp/first >&2; exit 9; }
    rm -rf /run/docker* /run/containerd
"#;

fn script(row: &Row) -> String {
    let socket = row.variables.get("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://"));
    let socket = socket.unwrap_or("/var/run/docker.sock");
    let before = match row.official.as_str() {
        "tls" => format!(
            "dockerd --host=unix://{socket} --host=tcp://0.0.0.0:2376 --tlsverify --tlscacert /certs/server/ca.pem \
             --tlscert /certs/server/cert.pem --tlskey /certs/server/key.pem"
        ),
        "plain" => format!("dockerd --host=unix://{socket} --host=tcp://0.0.0.0:2375"),
        _ => String::new(),
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

#[test]
fn rows_of_the_table_come_out_on_an_engine_as_they_are_computed() {
    let rows: Vec<Row> = serde_yaml::from_str(TABLE).expect("the table is sound");
    let rows: Vec<Row> = rows.into_iter().filter(|row| row.real).collect();
    assert!(rows.len() >= 12, "{}", rows.len());
    let scripts: String = rows.iter().map(script).collect();
    let options = ["--docker-arg", "-v/certs", "--docker-arg", "--env=DOCKER_CONFIG=/nowhere"];
    let run = run_script("28.5.2", &options, &format!("{LOOK}{scripts}")).expect_status(0);
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
    }
}
