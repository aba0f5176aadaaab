//! Certificates, judged by openssl: those that docker:dind has made are taken over, ours are what openssl takes.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail with the test")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use dindcheck::engine::tls::names::{self, Name};
use dindcheck::engine::tls::{Made, ensure};

fn openssl(directory: &Path, line: &str) -> Output {
    let mut command = Command::new("openssl");
    command.current_dir(directory).args(line.split_whitespace());
    command.output().expect("these tests need the program openssl")
}

fn made(directory: &Path, line: &str) -> String {
    let output = openssl(directory, line);
    assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A CA, a server and a client as docker:dind's entrypoint leaves them (docker-library/docker, _tls_generate_certs).
fn by_docker_dind(directory: &Path) {
    for part in ["ca", "server", "client"] {
        fs::create_dir_all(directory.join(part)).unwrap();
    }
    made(directory, "genrsa -out ca/key.pem 4096");
    let usage = "keyUsage=critical,digitalSignature,keyCertSign";
    // The name has a blank in it.
    let request = ["req", "-new", "-key", "ca/key.pem", "-out", "ca/cert.pem", "-subj", "/CN=docker:dind CA", "-x509"];
    let mut command = Command::new("openssl");
    command.current_dir(directory).args(request).args(["-days", "825", "-addext", usage]);
    assert!(command.output().unwrap().status.success());
    for (part, extensions) in [
        ("server", "extendedKeyUsage = serverAuth\nsubjectAltName = DNS:first,DNS:docker"),
        ("client", "extendedKeyUsage = clientAuth"),
    ] {
        made(directory, &format!("genrsa -out {part}/key.pem 2048"));
        fs::write(directory.join(part).join("openssl.cnf"), format!("[ x509_exts ]\n{extensions}\n")).unwrap();
        made(directory, &format!("req -new -key {part}/key.pem -out {part}/csr.pem -subj /CN={part}"));
        made(
            directory,
            &format!(
                "x509 -req -in {part}/csr.pem -CA ca/cert.pem -CAkey ca/key.pem -CAcreateserial -out {part}/cert.pem \
                 -days 825 -extfile {part}/openssl.cnf -extensions x509_exts"
            ),
        );
        fs::copy(directory.join("ca/cert.pem"), directory.join(part).join("ca.pem")).unwrap();
    }
}

fn own_names() -> Vec<Name> {
    names::parse("DNS:second,IP:10.1.2.3,IP:fd00::1,URI:https://x/y,email:a@b,RID:1.2.3.4,otherName:1.2.3.5;UTF8:z")
        .unwrap()
}

/// Both certificates are what openssl takes, for what they are for.
fn expect_sound(directory: &Path) {
    for (part, purpose) in [("server", "sslserver"), ("client", "sslclient")] {
        let line = format!("verify -x509_strict -purpose {purpose} -CAfile {part}/ca.pem {part}/cert.pem");
        assert_eq!(made(directory, &line), format!("{part}/cert.pem: OK\n"));
        let public = made(directory, &format!("pkey -in {part}/key.pem -pubout"));
        assert_eq!(public, made(directory, &format!("x509 -in {part}/cert.pem -noout -pubkey")), "{part}");
    }
    let shown = made(directory, "x509 -in server/cert.pem -noout -ext subjectAltName");
    for name in
        ["DNS:second", "IP Address:10.1.2.3", "URI:https://x/y", "email:a@b", "Registered ID:1.2.3.4", "1.2.3.5"]
    {
        assert!(shown.contains(name), "{name}: {shown}");
    }
}

#[test]
fn what_docker_dind_has_made_is_taken_over_in_each_form_of_volumes() {
    for (form, lost) in
        [("/certs", &[][..]), ("/certs/ca and /certs/client", &["server"]), ("/certs/client", &["server", "ca"])]
    {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        by_docker_dind(path);
        let old = path.join("old");
        fs::create_dir(&old).unwrap();
        for name in ["cert.pem", "key.pem", "ca.pem"] {
            fs::copy(path.join("client").join(name), old.join(name)).unwrap();
        }
        for part in lost {
            fs::remove_dir_all(path.join(part)).unwrap();
        }
        // openssl makes it so; docker:dind opens it at each start.
        fs::set_permissions(path.join("client/key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        for _ in 0..2 {
            assert_eq!(ensure(path, &own_names(), SystemTime::now()).unwrap(), Made::Here, "{form}");
            expect_sound(path);
        }
        assert_eq!(fs::read(path.join("client/key.pem")).unwrap(), fs::read(old.join("key.pem")).unwrap(), "{form}");
        for (file, mode) in
            [("client/key.pem", 0o644), ("server/key.pem", 0o600), ("ca/key.pem", 0o600), ("server/cert.pem", 0o644)]
        {
            assert_eq!(path.join(file).metadata().unwrap().permissions().mode() & 0o777, mode, "{form}: {file}");
        }
        let still = openssl(path, "verify -x509_strict -purpose sslclient -CAfile server/ca.pem old/cert.pem").status;
        assert_eq!(still.success(), !lost.contains(&"ca"), "{form}: a client that has its certificate from before");
    }
}

#[test]
fn a_renewed_ca_keeps_its_name_and_the_clients_of_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    by_docker_dind(path);
    fs::copy(path.join("client/cert.pem"), path.join("old.pem")).unwrap();
    fs::copy(path.join("ca/cert.pem"), path.join("before.pem")).unwrap();
    let later = SystemTime::now() + Duration::from_secs(740 * 24 * 3600);
    ensure(path, &own_names(), later).unwrap();
    assert_ne!(fs::read(path.join("ca/cert.pem")).unwrap(), fs::read(path.join("before.pem")).unwrap());
    let seconds = later.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for (ca, certificate) in
        [("server/ca.pem", "old.pem"), ("before.pem", "client/cert.pem"), ("server/ca.pem", "server/cert.pem")]
    {
        made(path, &format!("verify -x509_strict -attime {seconds} -CAfile {ca} {certificate}"));
    }
    // Without the old certificate the name is docker:dind's, byte for byte.
    fs::remove_file(path.join("ca/cert.pem")).unwrap();
    ensure(path, &own_names(), SystemTime::now()).unwrap();
    made(path, "verify -x509_strict -CAfile server/ca.pem old.pem");
}

#[test]
fn new_ones_are_sound_at_any_time() {
    for seconds in [0, 3000, 4000, 1_800_000_000, 2_500_000_000_u64, 4_102_444_800] {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        ensure(directory.path(), &own_names(), now).unwrap_or_else(|error| panic!("{seconds}: {error}"));
        let line = format!(
            "verify -x509_strict -attime {} -CAfile server/ca.pem server/cert.pem client/cert.pem",
            seconds + 1
        );
        made(directory.path(), &line);
    }
}

#[test]
fn a_chain_of_the_users_is_verified() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    by_docker_dind(path);
    let names = own_names();
    // openssl's certificates begin at the second that they are made in.
    let now = SystemTime::now() + Duration::from_secs(600);
    fs::rename(path.join("ca"), path.join("elsewhere")).unwrap();
    let ensured = || ensure(path, &names, now).map_err(|error| error.to_string());
    assert_eq!(ensured(), Ok(Made::ByTheUser));
    // An authority in between, in the file of the server.
    made(path, "genrsa -out between.key 2048");
    fs::write(path.join("between.cnf"), "basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n")
        .unwrap();
    made(path, "req -new -key between.key -out between.csr -subj /CN=between");
    let sign = "-CA elsewhere/cert.pem -CAkey elsewhere/key.pem -CAcreateserial -days 9";
    made(path, &format!("x509 -req -in between.csr {sign} -sha384 -out between.pem -extfile between.cnf"));
    made(
        path,
        "x509 -req -in server/csr.pem -CA between.pem -CAkey between.key -CAcreateserial -days 9 -sha512 -out leaf.pem",
    );
    let chain = [fs::read(path.join("leaf.pem")).unwrap(), fs::read(path.join("between.pem")).unwrap()].concat();
    fs::write(path.join("server/cert.pem"), &chain).unwrap();
    assert_eq!(ensured(), Ok(Made::ByTheUser));
    fs::copy(path.join("leaf.pem"), path.join("server/cert.pem")).unwrap();
    assert!(ensured().unwrap_err().contains("server/cert.pem: no CA in ca.pem has signed it"));
    // Of the same name, by another key.
    fs::write(path.join("server/cert.pem"), &chain).unwrap();
    let other = [
        "req",
        "-new",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "other.key",
        "-out",
        "server/ca.pem",
        "-subj",
        "/CN=docker:dind CA",
    ];
    assert!(Command::new("openssl").current_dir(path).args(other).output().unwrap().status.success());
    assert!(ensured().unwrap_err().contains("no CA in ca.pem has signed it"));
    // Another key; and one whose time is over.
    fs::copy(path.join("elsewhere/cert.pem"), path.join("server/ca.pem")).unwrap();
    fs::copy(path.join("between.key"), path.join("server/key.pem")).unwrap();
    assert!(ensured().unwrap_err().contains("server/key.pem: it is not the key of cert.pem"));
    let late = ensure(path, &names, now + Duration::from_secs(10 * 24 * 3600)).unwrap_err().to_string();
    assert!(late.contains("server/cert.pem: it has expired"), "{late}");
    // P-256 throughout.
    made(path, "ecparam -name prime256v1 -genkey -noout -out ec.key");
    made(path, "req -new -x509 -key ec.key -out server/ca.pem -subj /CN=ec -days 9");
    fs::copy(path.join("server/ca.pem"), path.join("server/cert.pem")).unwrap();
    fs::copy(path.join("ec.key"), path.join("server/key.pem")).unwrap();
    assert_eq!(ensured(), Ok(Made::ByTheUser));
}

#[test]
fn who_shares_the_clients_directory_can_neither_stop_a_start_nor_lead_it_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("certs");
    let (names, now) = (own_names(), SystemTime::now());
    ensure(&path, &names, now).unwrap();
    let victim = directory.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("file"), "x").unwrap();
    fs::set_permissions(victim.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
    // Names that an earlier version wrote beside.
    for name in ["cert.new", "ca.new", "key.new"] {
        fs::create_dir_all(path.join("client").join(name).join("full")).unwrap();
    }
    let key = path.join("client/key.pem");
    let plant: [(&str, &dyn Fn()); 4] = [
        ("a link", &|| symlink(victim.join("file"), &key).unwrap()),
        ("a hard link", &|| fs::hard_link(victim.join("file"), &key).unwrap()),
        ("a pipe", &|| nix::unistd::mkfifo(&key, nix::sys::stat::Mode::S_IRWXU).unwrap()),
        ("nothing", &|| ()),
    ];
    for (what, plant) in plant {
        let _ = fs::remove_file(&key);
        plant();
        ensure(&path, &names, now).unwrap_or_else(|error| panic!("{what}: {error}"));
        expect_sound(&path);
        assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "x", "{what}");
        let mode = victim.join("file").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{what}");
    }
    fs::File::create(&key).unwrap().set_len(40 << 30).unwrap();
    let error = ensure(&path, &names, now).unwrap_err().to_string();
    assert!(error.contains("client/key.pem: it is larger than"), "{error}");
    fs::remove_dir_all(path.join("client")).unwrap();
    symlink(&victim, path.join("client")).unwrap();
    let error = ensure(&path, &names, now).unwrap_err().to_string();
    assert!(error.contains("client: it is a symbolic link"), "{error}");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
}

/// What the daemon's own library takes: each kind of key, with its certificate.
#[test]
fn a_key_of_another_certificate_is_reported_for_each_kind_of_key() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("proc")).unwrap();
    let kinds = [
        ("rsa", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
        ("p256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
        ("p384", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
        ("ed25519", "genpkey -algorithm ED25519"),
        ("sec1", "ecparam -name prime256v1 -genkey -noout"),
        ("pkcs1", "genrsa -traditional"),
    ];
    for (kind, line) in kinds {
        for which in ["", "other-"] {
            made(root.path(), &format!("{line} -out {which}{kind}.key"));
        }
        made(root.path(), &format!("req -new -x509 -key {kind}.key -out {kind}.pem -subj /CN={kind}"));
    }
    made(root.path(), "pkey -in rsa.key -aes256 -passout pass:x -out encrypted.key");
    let judged = |certificate: &str, key: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dindcheck"));
        command.args(["check", "--only", "configuration.tls-files", "--format", "json", "--inner", "28.5.2", "--root"]);
        command.arg(root.path()).args(["--", "--tlsverify", "--tlscacert=/rsa.pem"]);
        command.args([format!("--tlscert=/{certificate}"), format!("--tlskey=/{key}")]);
        let output = command.output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["findings"][0]["outcome"].as_str().unwrap().to_owned()
    };
    for (kind, _) in kinds {
        assert_eq!(judged(&format!("{kind}.pem"), &format!("{kind}.key")), "pass", "{kind}");
        assert_eq!(judged(&format!("{kind}.pem"), &format!("other-{kind}.key")), "fail", "{kind}");
    }
    for (certificate, key) in
        [("rsa.pem", "encrypted.key"), ("rsa.key", "rsa.key"), ("rsa.pem", "none"), ("rsa.pem", "rsa.pem")]
    {
        assert_eq!(judged(certificate, key), "fail", "{certificate} {key}");
    }
}
