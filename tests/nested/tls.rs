//! The API on TCP: who has a certificate of the CA gets in, and no one else.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use dindcheck::engine::tls;

use crate::for_each_inner;
use crate::lab::{Outer, docker, plain, run_script, share};

const SERVING: &str = " is ready, ";
const CERTDIR: [&str; 4] = ["--docker-arg", "-eDOCKER_TLS_CERTDIR=/certs", "--docker-arg", "--hostname=inner.example"];

fn client(outer: &Outer, host: &str, certificates: &str) -> crate::lab::Run {
    let script =
        format!("DOCKER_HOST=tcp://{host}:2376 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH={certificates} docker version");
    outer.exec(&["sh", "-c", &script])
}

for_each_inner!(clients_are_told_apart_by_their_certificates);
fn clients_are_told_apart_by_their_certificates(inner: &str) {
    let san =
        ["--docker-arg", "-eDOCKER_TLS_SAN=DNS:dind.example", "--docker-arg", "--add-host=dind.example:127.0.0.1"];
    let other = ["--docker-arg", "--add-host=other.example:127.0.0.1", "--docker-arg", "--add-host=docker:127.0.0.1"];
    let outer = Outer::start(inner, &[&CERTDIR[..], &san, &other].concat(), &["dindcheck"]);
    outer.wait_for_log(SERVING);

    for host in ["127.0.0.1", "localhost", "docker", "inner.example", "dind.example"] {
        client(&outer, host, "/certs/client").expect_status(0);
    }
    assert_ne!(client(&outer, "other.example", "/certs/client").status, 0, "a name that nobody gave it");
    let plain = outer.exec(&["docker", "-H", "tcp://127.0.0.1:2376", "version"]);
    assert!(plain.stderr.contains("HTTPS server"), "without TLS: {}", plain.stderr);
    outer.script("mkdir /anonymous; cp /certs/client/ca.pem /anonymous");
    let anonymous = "docker -H tcp://127.0.0.1:2376 --tlsverify --tlscacert /certs/client/ca.pem version";
    assert_ne!(outer.exec(&["sh", "-c", anonymous]).status, 0, "without a certificate");

    // Made here with the same code: by another CA; and by this one's key, long ago.
    let directory = tempfile::tempdir().expect("a directory");
    let (foreign, expired) = (directory.path().join("foreign"), directory.path().join("expired"));
    fs::create_dir_all(expired.join("ca")).expect("a directory");
    fs::write(expired.join("ca/key.pem"), outer.script("cat /certs/ca/key.pem")).expect("a file");
    let long_ago = SystemTime::now() - Duration::from_secs(900 * 24 * 3600);
    for (made, now, why) in [
        (&foreign, SystemTime::now(), "certificate signed by unknown authority"),
        (&expired, long_ago, "certificate has expired"),
    ] {
        tls::ensure(made, &[], now).expect("certificates");
        give(&outer, &made.join("client"));
        // The server's CA is the right one, so that it is the client that is refused.
        outer.script("cp /certs/client/ca.pem /client/");
        let refused = client(&outer, "127.0.0.1", "/client");
        assert_ne!(refused.status, 0, "{}", made.display());
        outer.wait_for_log(why);
        outer.script("rm -r /client");
    }

    let modes = outer.script("cd /certs; stat -c '%a %n' */*.pem");
    let expected = "644 ca/cert.pem\n600 ca/key.pem\n644 client/ca.pem\n644 client/cert.pem\n644 client/key.pem\n\
                    644 server/ca.pem\n644 server/cert.pem\n600 server/key.pem\n";
    assert_eq!(modes, expected);

    // The next start keeps what clients have copies of.
    outer.script("cp -r /certs/client /copy");
    assert_eq!(outer.stop(), 0);
    outer.restart();
    outer.wait_for_logs(SERVING, 2);
    client(&outer, "127.0.0.1", "/copy").expect_status(0);
}

fn give(outer: &Outer, directory: &Path) {
    docker(&["cp", &directory.display().to_string(), &format!("{}:/client", outer.name())]);
}

#[test]
fn certificates_of_the_users_are_used_as_they_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let made = directory.path().join("client");
    tls::ensure(&made, &tls::names::all("DNS:localhost").expect("names"), SystemTime::now()).expect("certificates");
    fs::remove_dir_all(made.join("ca")).expect("removed");
    let script = "until test -e /client/ready; do sleep 0.1; done; exec dindcheck -v";
    let outer = Outer::start("28.5.2", &["--docker-arg", "-eDOCKER_TLS_CERTDIR=/client"], &["sh", "-c", script]);
    give(&outer, &made);
    outer.script("cd /client; sha256sum */*.pem > before; touch ready");
    outer.wait_for_log(SERVING);
    assert!(outer.log().contains("using the certificates in /client"), "{}", outer.log());
    client(&outer, "localhost", "/client/client").expect_status(0);
    outer.script("cd /client; sha256sum */*.pem | cmp - before");
}

#[test]
fn unusable_certificates_are_reported_and_nothing_is_started() {
    let options = ["--docker-arg", "-eDOCKER_TLS_CERTDIR=/certs"];
    let script = "mkdir -p /certs/ca; echo x > /certs/ca/key.pem; exec dindcheck";
    let run = run_script("28.5.2", &options, script).expect_status(2);
    assert!(
        run.stderr.contains("/certs/ca/key.pem: it is no key for P-256 and no RSA key; remove it"),
        "{}",
        run.stderr
    );
    let run = run_script("28.5.2", &options, "DOCKER_TLS_SAN=nonsense exec dindcheck").expect_status(2);
    assert!(run.stderr.contains("`nonsense` is none of DNS:NAME"), "{}", run.stderr);
}

/// Held against what the plain daemon does with the same files.
#[test]
fn tls_files_that_the_daemon_cannot_use_are_found() {
    const ID: &str = "configuration.tls-files";
    const HOSTS: &str = "--host=unix:///var/run/docker.sock --host=tcp://127.0.0.1:2376";
    let made = tempfile::tempdir_in(share()).expect("a directory");
    tls::ensure(made.path(), &[], SystemTime::now()).expect("certificates");
    let mount = format!("{}:/given:ro", made.path().display());
    let options = ["--docker-arg", "-v", "--docker-arg", &mount];
    let files = |ca: &str, certificate: &str, key: &str| {
        format!("{HOSTS} --tlsverify --tlscacert=/given/{ca} --tlscert=/given/{certificate} --tlskey=/given/{key}")
    };
    let [ca, certificate, key] = ["server/ca.pem", "server/cert.pem", "server/key.pem"];
    let rows = [
        (files(ca, certificate, key), "works"),
        (files(ca, certificate, "client/key.pem"), "dies"),
        (files(ca, key, key), "dies"),
        (files(ca, certificate, certificate), "dies"),
        (files("none.pem", certificate, key), "dies"),
        (files(key, certificate, key), "dies"),
        (format!("{HOSTS} --tlsverify"), "dies"),
        // Without an address of TCP too.
        ("--tls".to_owned(), "dies"),
        (format!("{HOSTS} --tlsverify=false --tlscert=/given/{certificate} --tlskey=/given/{key}"), "works"),
        (format!("{HOSTS} --tls=false"), "works"),
    ];
    for inner in ["20.10.5", "28.5.2"] {
        for (args, fate) in &rows {
            let script = format!("exec dindcheck check --only {ID} --format json -- {args}");
            let report = run_script(inner, &options, &script).report();
            report.expect(ID, if *fate == "works" { "pass" } else { "fail" });
            assert_eq!(report.0["foretold"], *fate, "{inner} {args}");
            assert_eq!(plain(inner, &options, "", args).0, *fate, "{inner} {args}");
        }
    }
}
