//! Images in archives: of each form that there is, broken in each way that can be told without running them, and hostile.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{all, dindcheck};

/// A file of a layer: its path, mode and content; a link has its target as content.
pub(crate) type File<'a> = (&'a str, u32, &'a [u8]);

const LINK: u32 = 0o120_777;

/// The beginning of a static 64-bit program for x86-64 (elf(5)).
const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\
\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\x38\0\0\0\0\0\0\0\0\0";

/// The linker of musl.
const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// A program that needs a dynamic linker: a header of type PT_INTERP, and the linker's name behind it.
fn linked(linker: &str) -> Vec<u8> {
    let mut elf = ELF.to_vec();
    elf[56] = 1;
    let mut header = vec![0; 0x38];
    header[0] = 3;
    header[8] = 0x78;
    header[32] = u8::try_from(linker.len() + 1).unwrap();
    [elf, header, linker.as_bytes().to_vec(), vec![0]].concat()
}

const STATUS: &[u8] = b"Package: docker.io\nStatus: install ok installed\nVersion: 28.5.2+dfsg4-5\n\n\
Package: runc\nStatus: install ok installed\nVersion: 1.2.5+ds1-1\n";

/// The root file system of an image that is fit.
pub(crate) fn fit() -> Vec<File<'static>> {
    vec![
        ("bin", LINK, b"usr/bin"),
        ("sbin", LINK, b"usr/sbin"),
        ("var/run", LINK, b"/run"),
        ("usr/bin/sh", 0o755, ELF),
        ("usr/local/bin/start", 0o755, b"#!/bin/sh -e\nexec dockerd \"$@\"\n"),
        ("usr/sbin/dockerd", 0o755, ELF),
        ("usr/bin/containerd", 0o755, ELF),
        ("usr/bin/containerd-shim-runc-v2", 0o755, ELF),
        ("usr/sbin/runc", 0o755, ELF),
        ("usr/bin/docker-proxy", 0o755, ELF),
        ("usr/sbin/iptables", LINK, b"/etc/alternatives/iptables"),
        ("etc/alternatives/iptables", LINK, b"/usr/sbin/iptables-nft"),
        ("usr/sbin/iptables-nft", LINK, b"xtables-nft-multi"),
        ("usr/sbin/xtables-nft-multi", 0o755, ELF),
        ("etc/ssl/certs/ca-certificates.crt", 0o644, b"a bundle"),
        ("var/lib/dpkg/status", 0o644, STATUS),
    ]
}

pub(crate) fn tar(files: &[File<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode & 0o7777);
        if *mode == LINK {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, path, std::str::from_utf8(content).unwrap()).unwrap();
        } else if path.ends_with('/') {
            // Its content is its owner and group.
            let (uid, gid) = std::str::from_utf8(content).unwrap().split_once(':').unwrap_or(("0", "0"));
            header.set_uid(uid.parse().unwrap());
            header.set_gid(gid.parse().unwrap());
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            builder.append_data(&mut header, path, [].as_slice()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, *content).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn digest(content: &[u8]) -> String {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(content);
    format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A layer as it is before it is packed.
fn unpacked(layer: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = match layer {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(layer).read_to_end(&mut plain),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => match ruzstd::decoding::StreamingDecoder::new(layer) {
            Ok(mut decoder) => decoder.read_to_end(&mut plain),
            Err(_) => return Vec::new(),
        },
        _ => return layer.to_vec(),
    };
    read.unwrap();
    plain
}

fn config(extra: &Value, layers: &[Vec<u8>]) -> Value {
    let mut own = json!({
        "Entrypoint": ["start"], "Volumes": { "/var/lib/docker": {} },
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    });
    for (key, value) in extra.as_object().unwrap() {
        own[key] = value.clone();
    }
    let ids: Vec<String> = layers.iter().map(|layer| digest(&unpacked(layer))).collect();
    json!({ "architecture": "amd64", "os": "linux", "config": own, "rootfs": { "type": "layers", "diff_ids": ids } })
}

pub(crate) struct Archive {
    _directory: TempDir,
    pub(crate) path: PathBuf,
}

impl Archive {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image.tar");
        std::fs::write(&path, bytes).unwrap();
        Self { _directory: directory, path }
    }

    /// What `docker save` writes: layers, bottom first.
    pub(crate) fn saved(layers: &[Vec<u8>], extra: &Value) -> Self {
        let names: Vec<String> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
        let manifest = json!([{ "Config": "config.json", "RepoTags": ["made:up"], "Layers": names }]).to_string();
        let config = config(extra, layers).to_string();
        let mut files: Vec<File<'_>> =
            vec![("config.json", 0o644, config.as_bytes()), ("manifest.json", 0o644, manifest.as_bytes())];
        files.extend(names.iter().zip(layers).map(|(name, layer)| (name.as_str(), 0o644, layer.as_slice())));
        Self::new(&tar(&files))
    }

    /// An OCI layout, whose index names an index, as buildkit writes it.
    fn layout(layers: &[Vec<u8>]) -> Self {
        let mut blobs: Vec<(String, Vec<u8>)> = Vec::new();
        let mut put = |kind: &str, content: Vec<u8>| {
            let digest = digest(&content);
            let descriptor = json!({ "mediaType": kind, "digest": digest, "size": content.len() });
            blobs.push((format!("blobs/{}", digest.replace(':', "/")), content));
            descriptor
        };
        let own = config(&json!({}), layers).to_string();
        let layers: Vec<Value> =
            layers.iter().map(|layer| put("application/vnd.oci.image.layer.v1.tar", layer.clone())).collect();
        let config = put("application/vnd.oci.image.config.v1+json", own.into());
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let mut ours = put(kind, manifest.to_string().into());
        ours["platform"] = json!({ "architecture": "amd64", "os": "linux" });
        let mut attestation = put(kind, b"{}".to_vec());
        attestation["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        let inner = json!({ "schemaVersion": 2, "manifests": [ours, attestation] });
        let index = put("application/vnd.oci.image.index.v1+json", inner.to_string().into());
        let outer = json!({ "schemaVersion": 2, "manifests": [index] }).to_string();
        let mut files: Vec<File<'_>> = vec![("index.json", 0o644, outer.as_bytes())];
        files.extend(blobs.iter().map(|(name, content)| (name.as_str(), 0o644, content.as_slice())));
        Self::new(&tar(&files))
    }

    fn gate(&self, args: &[&str]) -> std::process::Output {
        dindcheck().args(["gate", "--format", "json", "--archive"]).arg(&self.path).args(args).output().unwrap()
    }

    fn report(&self, args: &[&str]) -> Value {
        let output = self.gate(args);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", all(&output)))
    }
}

/// The ids of what is wrong, but infos.
fn wrong(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap();
    let wrong = findings.iter().filter(|finding| {
        ["fail", "unknown"].contains(&finding["outcome"].as_str().unwrap()) && finding["severity"] != "info"
    });
    wrong
        .map(|finding| format!("{} {}", finding["id"].as_str().unwrap(), finding["severity"].as_str().unwrap()))
        .collect()
}

/// Before 1.12 the engine is one program, and nothing in it says its version.
#[test]
fn an_engine_that_is_one_program_is_known_by_the_variable() {
    let one: Vec<File<'_>> = fit()
        .into_iter()
        .filter(|(path, ..)| {
            !["dockerd", "containerd", "containerd-shim-runc-v2", "runc", "docker-proxy", "status"]
                .contains(&path.rsplit('/').next().unwrap())
        })
        .chain([("usr/bin/docker", 0o755, ELF)])
        .collect();
    let environment = |version: &str| json!({ "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", format!("DOCKER_VERSION={version}")] });
    let archive = Archive::saved(&[tar(&one)], &environment("1.9.1"));
    let report = archive.report(&[]);
    assert_eq!(report["inner"]["version"], "1.9.1", "{report:#}");
    assert_eq!(report["inner"]["said_by"], "DOCKER_VERSION in the image");
    assert_eq!(wrong(&report), [""; 0]);
    // An image with the client of a later engine has no engine.
    let archive = Archive::saved(&[tar(&one)], &environment("28.5.2"));
    assert_eq!(wrong(&archive.report(&[])), ["image.programs blocking"]);
}

#[test]
fn a_fit_image_passes_in_each_form_of_archive() {
    let layer = tar(&fit());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&layer).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(layer.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
    for archive in [
        Archive::saved(std::slice::from_ref(&layer), &json!({})),
        Archive::saved(std::slice::from_ref(&gzip), &json!({})),
        Archive::layout(&[layer]),
        Archive::layout(&[gzip]),
        Archive::layout(&[zstd]),
    ] {
        let report = archive.report(&[]);
        assert_eq!(wrong(&report), [""; 0], "{report:#}");
        assert_eq!(report["exit_status"], 0);
        assert_eq!(report["inner"]["version"], "28.5.2+dfsg4-5");
        assert_eq!(report["image"]["volumes"], json!(["/var/lib/docker"]));
    }
}

#[test]
fn each_way_to_break_an_image_has_its_finding() {
    let without = |path: &str| fit().into_iter().filter(|(own, ..)| *own != path).collect::<Vec<_>>();
    let with = |files: &[File<'static>]| [without(""), files.to_vec()].concat();
    let arm = [&ELF[..18], b"\xb7\0", &ELF[20..]].concat().leak() as &[u8];
    let musl = linked(MUSL).leak() as &[u8];
    let whole = Archive::saved(&[tar(&fit())], &json!({})).report(&[]);
    let mut text = format!("nothing\n{}", failures(&whole, &Value::Null));
    for (name, files, extra, wanted) in [
        ("no runc", without("usr/sbin/runc"), json!({}), "image.programs blocking"),
        ("no docker-proxy", without("usr/bin/docker-proxy"), json!({}), "image.programs blocking"),
        ("iptables leads nowhere", without("usr/sbin/iptables-nft"), json!({}), "image.iptables blocking"),
        ("no volume", fit(), json!({ "Volumes": {} }), "image.volumes warning"),
        ("no certificates", without("etc/ssl/certs/ca-certificates.crt"), json!({}), "image.certificates warning"),
        ("no shell for the script", without("usr/bin/sh"), json!({}), "image.command blocking"),
        ("no entrypoint", fit(), json!({ "Entrypoint": ["gone"] }), "image.command blocking"),
        ("a user", fit(), json!({ "User": "1000:1000" }), "image.user blocking"),
        ("a user with sudo", with(&[("usr/bin/sudo", 0o4755, ELF)]), json!({ "User": "dev" }), "image.user warning"),
        (
            "a user without ids",
            with(&[("usr/bin/rootlesskit", 0o755, ELF)]),
            json!({ "User": "rootless" }),
            "image.subuid blocking",
        ),
        ("a pid file", with(&[("run/docker.pid", 0o644, b"7")]), json!({}), "image.leftovers blocking"),
        ("another processor", with(&[("usr/sbin/runc", 0o755, arm)]), json!({}), "image.libc blocking"),
        ("another libc", with(&[("usr/sbin/dockerd", 0o755, musl)]), json!({}), "image.libc blocking"),
        ("bad JSON", with(&[("etc/docker/daemon.json", 0o644, b"{,}")]), json!({}), "image.daemon-json blocking"),
        (
            "hosts twice",
            with(&[("etc/docker/daemon.json", 0o644, br#"{"hosts": ["unix:///var/run/docker.sock"]}"#)]),
            json!({ "Cmd": ["-H", "tcp://0.0.0.0:2375"] }),
            "image.daemon-json blocking",
        ),
        (
            "a driver of old",
            with(&[("etc/docker/daemon.json", 0o644, br#"{"storage-driver": "aufs"}"#)]),
            json!({}),
            "image.daemon-json blocking",
        ),
        (
            "no range of users",
            with(&[("etc/docker/daemon.json", 0o644, br#"{"userns-remap": "default"}"#)]),
            json!({}),
            "image.subuid blocking",
        ),
    ] {
        let report = Archive::saved(&[tar(&files)], &extra).report(&[]);
        assert_eq!(wrong(&report), [wanted], "{name}: {report:#}");
        assert_eq!(report["exit_status"], i32::from(wanted.ends_with("blocking")), "{name}");
        let _ = write!(text, "{name}\n{}", failures(&report, &whole));
    }
    insta::assert_snapshot!("findings_of_broken_images", text);
}

/// All that is reported of what is not as it should be, whatever it weighs, but for what is reported of another image too.
fn failures(report: &Value, other: &Value) -> String {
    let mut text = String::new();
    let failed = report["findings"].as_array().unwrap().iter().filter(|finding| finding["outcome"] == "fail");
    for finding in failed.filter(|finding| !other["findings"].as_array().is_some_and(|all| all.contains(finding))) {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let [id, severity, summary] = ["id", "severity", "summary"].map(|key| word(&finding[key]));
        let _ = writeln!(text, "  {id}: {severity}: {summary}");
        for saw in finding["evidence"].as_array().into_iter().flatten() {
            let _ =
                writeln!(text, "    saw {}: {}, wanted {}", word(&saw["location"]), word(&saw["value"]), saw["wanted"]);
        }
        let _ = writeln!(text, "    why {}", word(&finding["cause"]));
        for remedy in finding["remedy"].as_array().into_iter().flatten() {
            let _ = writeln!(text, "    do {}", word(remedy));
        }
    }
    text
}

#[test]
fn what_clients_need_is_noted() {
    let plugin = |name: &str| (format!("usr/libexec/docker/cli-plugins/docker-{name}"), 0o755, ELF);
    let (buildx, compose) = (plugin("buildx"), plugin("compose"));
    let client: File<'_> = ("usr/bin/docker", 0o755, ELF);
    let group = |text: &'static str| -> File<'_> { ("etc/group", 0o644, text.as_bytes()) };
    let asks: File<'_> = ("etc/docker/daemon.json", 0o644, br#"{"group": "ci"}"#);
    let both = json!({ "ExposedPorts": { "2375/tcp": {}, "2376/tcp": {} } });
    let one = json!({ "ExposedPorts": { "2376/tcp": {} } });
    for (files, extra, outcomes) in [
        (vec![], json!({}), ["fail info", "not-applicable info", "fail info"]),
        (vec![client], one, ["fail info", "fail info", "fail info"]),
        (
            vec![client, (&buildx.0, buildx.1, buildx.2), (&compose.0, compose.1, compose.2), group("docker:x:1:\n")],
            both.clone(),
            ["pass info", "pass info", "pass info"],
        ),
        (vec![asks, group("docker:x:1:\n")], both, ["pass info", "not-applicable info", "fail blocking"]),
    ] {
        let report = Archive::saved(&[tar(&[fit(), files.clone()].concat())], &extra).report(&[]);
        let findings = report["findings"].as_array().unwrap();
        let found = ["image.ports", "image.plugins", "image.group"].map(|id| {
            let finding = findings.iter().find(|finding| finding["id"] == id).unwrap();
            let severity = if finding["outcome"] == "fail" { finding["severity"].as_str().unwrap() } else { "info" };
            format!("{} {severity}", finding["outcome"].as_str().unwrap())
        });
        assert_eq!(found, outcomes, "{files:?}");
    }
}

#[test]
fn a_user_may_run_a_rootless_engine() {
    let mut files = fit();
    files.extend([
        ("usr/bin/rootlesskit", 0o755, ELF),
        ("etc/passwd", 0o644, b"root:x:0:0::/root:/bin/sh\nrootless:x:1000:1000::/home/rootless:/bin/sh\n"),
        ("etc/subuid", 0o644, b"rootless:100000:65536\n"),
        ("etc/subgid", 0o644, b"1000:100000:65536\n"),
    ]);
    for user in ["rootless", "1000:1000"] {
        let report = Archive::saved(&[tar(&files)], &json!({ "User": user })).report(&[]);
        assert_eq!(wrong(&report), [] as [&str; 0], "{user}: {report:#}");
    }
}

/// As the kernel decides it: owner, group, others (path_resolution(7)).
#[test]
fn certificates_of_a_rootless_image_have_a_place() {
    let outcome = |files: &[File<'static>], user: &str, directory: &str, upper: &[File<'static>]| {
        let mut all = fit();
        all.extend([
            ("usr/bin/rootlesskit", 0o755, ELF),
            (
                "etc/passwd",
                0o644,
                b"root:x:0:0::/root:/bin/sh\nrootless:x:1000:1000::/home/rootless:/bin/sh\n".as_slice(),
            ),
            ("etc/group", 0o644, b"docker:x:7:rootless\nrootless:x:1000:\n"),
            ("etc/subuid", 0o644, b"rootless:100000:65536\n"),
            ("etc/subgid", 0o644, b"rootless:100000:65536\n"),
        ]);
        all.extend(files);
        let environment = format!("DOCKER_TLS_CERTDIR={directory}");
        let extra = json!({ "User": user, "Env": [environment] });
        let report = Archive::saved(&[tar(&all), tar(upper)], &extra).report(&[]);
        let findings = report["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["id"] == "image.tls-directory").unwrap();
        format!("{}: {}", finding["outcome"].as_str().unwrap(), finding["summary"].as_str().unwrap())
    };
    let pass = "pass: user 1000 may write to /certs";
    let at = |place: &str| format!("fail: user 1000 cannot write to {place}");
    for (files, wanted) in [
        (&[("certs/", 0o1777, b"0:0".as_slice()), ("certs/client/", 0o1777, b"0:0")][..], pass.to_owned()),
        (&[("certs/", 0o755, b"1000:0")], pass.to_owned()),
        (&[("certs/", 0o775, b"0:1000")], pass.to_owned()),
        (&[("certs/", 0o775, b"0:7")], pass.to_owned()),
        (&[("certs/", 0o775, b"0:8")], at("/certs")),
        // Its owner may do less than others.
        (&[("certs/", 0o577, b"1000:0")], at("/certs")),
        (&[("certs/", 0o1776, b"0:0")], at("/certs")),
        (&[], at("/certs")),
        (&[("certs", 0o644, b"")], at("/certs")),
        (&[("certs/", 0o1777, b"0:0"), ("certs/client/", 0o755, b"0:0")], at("/certs/client")),
        (&[("data/", 0o1777, b"0:0"), ("certs", LINK, b"data")], pass.to_owned()),
        (
            &[("certs/server/cert.pem", 0o644, b"x")],
            "pass: certificates of the image's own, which are never written".to_owned(),
        ),
        (&[("certs/server/cert.pem", 0o644, b"x"), ("certs/ca/key.pem", 0o600, b"x")], at("/certs")),
    ] {
        assert_eq!(outcome(files, "rootless", "/certs", &[]), wanted, "{files:?}");
    }
    let open: &[File<'static>] = &[("certs/", 0o1777, b"0:0")];
    assert_eq!(
        outcome(open, "1000:8", "/certs", &[("certs/", 0o770, b"0:7")]),
        at("/certs"),
        "the group that is named"
    );
    assert_eq!(outcome(open, "rootless", "/certs", &[(".wh.certs", 0o644, b"")]), at("/certs"), "removed above");
    let home: &[File<'static>] = &[("home/rootless/", 0o700, b"1000:1000")];
    assert_eq!(
        outcome(home, "rootless", "/home/rootless/certs", &[]),
        "pass: user 1000 may write to /home/rootless/certs",
        "it is made there"
    );
    for (user, directory) in [("root", "/certs"), ("rootless", "")] {
        assert!(outcome(&[], user, directory, &[]).starts_with("not-applicable"), "{user} {directory}");
    }
}

#[test]
fn a_range_of_users_is_long_enough_in_both_files() {
    let subuid = |uids: &'static [u8], gids: &'static [u8]| {
        let mut files = fit();
        files.extend([
            ("etc/docker/daemon.json", 0o644, br#"{"userns-remap": "default"}"#.as_slice()),
            ("etc/subuid", 0o644, uids),
            ("etc/subgid", 0o644, gids),
        ]);
        let report = Archive::saved(&[tar(&files)], &json!({})).report(&[]);
        let findings = report["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["id"] == "image.subuid").unwrap();
        format!("{}: {}", finding["outcome"].as_str().unwrap(), finding["summary"].as_str().unwrap())
    };
    let [enough, short] = [b"dockremap:165536:65536\n", b"dockremap:165536:65535\n"];
    assert_eq!(subuid(enough, enough), "pass: dockremap has ranges in both files");
    assert_eq!(subuid(short, enough), "fail: dockremap has 65535 numbers in /etc/subuid");
    assert_eq!(subuid(enough, short), "fail: dockremap has 65535 numbers in /etc/subgid");
    assert_eq!(subuid(enough, b"other:165536:65536\n"), "fail: dockremap has no range in /etc/subgid");
}

#[test]
fn what_an_image_needs_depends_on_the_version() {
    let archive = Archive::saved(&[tar(&fit())], &json!({ "Volumes": {} }));
    assert_eq!(wrong(&archive.report(&["--inner", "28.5.2"])), ["image.volumes warning"]);
    assert_eq!(wrong(&archive.report(&["--inner", "29.7.2"])), ["image.volumes blocking"]);
    let without_proxy: Vec<_> = fit().into_iter().filter(|(path, ..)| *path != "usr/bin/docker-proxy").collect();
    let archive = Archive::saved(&[tar(&without_proxy)], &json!({}));
    assert_eq!(wrong(&archive.report(&["--inner", "24.0.9"])), [""; 0]);
    assert_eq!(wrong(&archive.report(&["--inner", "25.0.0"])), ["image.programs blocking"]);
}

/// Outcome, severity and summary of a finding.
fn finding(report: &Value, id: &str) -> String {
    let finding = report["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == id).unwrap();
    ["outcome", "severity", "summary"].map(|key| finding[key].as_str().unwrap()).join(" ")
}

#[test]
fn the_c_library_of_the_engine_is_told_by_its_linker() {
    const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
    let (musl, glibc) = (linked(MUSL), linked(GLIBC));
    let libc = |programs: &[File<'_>]| {
        let linkers: [File<'_>; 2] = [(&MUSL[1..], 0o755, ELF), (&GLIBC[1..], 0o755, ELF)];
        let report = Archive::saved(&[tar(&fit()), tar(&[&linkers, programs].concat())], &json!({})).report(&[]);
        finding(&report, "image.libc")
    };
    assert_eq!(libc(&[]), "pass info static");
    let [dockerd, runc] = ["usr/sbin/dockerd", "usr/sbin/runc"];
    assert_eq!(libc(&[(dockerd, 0o755, &musl)]), "pass info musl, static");
    assert_eq!(libc(&[(dockerd, 0o755, &glibc)]), "pass info glibc, static");
    assert_eq!(libc(&[(dockerd, 0o755, &musl), (runc, 0o755, &glibc)]), "pass info musl, static, glibc");
}

#[test]
fn an_engine_that_is_newer_than_every_profile_is_noted() {
    let archive = Archive::saved(&[tar(&fit())], &json!({}));
    let engine = |version: &str| finding(&archive.report(&["--inner", version]), "image.engine");
    assert_eq!(engine("99.0.0"), "fail info Docker 99.0.0 is newer than every profile");
    assert!(engine("28.5.2").starts_with("pass info Docker 28.5.2 (--inner), judged by "), "{}", engine("28.5.2"));
}

#[test]
fn upper_layers_hide_what_is_below() {
    let upper = |files: &[File<'_>]| Archive::saved(&[tar(&fit()), tar(files)], &json!({})).report(&[]);
    assert_eq!(wrong(&upper(&[("usr/sbin/.wh.runc", 0o644, b"")])), ["image.programs blocking"]);
    // All that was in the directory goes, and what the same layer brings stays.
    let opaque = upper(&[("usr/bin/containerd", 0o755, ELF), ("usr/bin/.wh..wh..opq", 0o644, b"")]);
    let programs = opaque["findings"].as_array().unwrap().iter().find(|one| one["id"] == "image.programs").unwrap();
    assert_eq!(programs["summary"], "not in the image: containerd-shim-runc-v2, docker-proxy");
    // A program that is replaced by something that cannot be run.
    assert_eq!(wrong(&upper(&[("usr/sbin/runc", 0o644, b"text")])), ["image.programs blocking"]);
}

/// A download that was cut off or changed: engines refuse it too (moby image/tarexport/load.go).
#[test]
fn what_its_digests_do_not_fit_is_no_image() {
    let refused = |archive: &Archive, reason: &str| {
        let output = archive.gate(&[]);
        assert_eq!(output.status.code(), Some(2), "{reason}: {}", all(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(reason), "{reason}: {said}");
    };
    let change = |archive: &Archive, from: &[u8], to: &[u8]| {
        let mut bytes = std::fs::read(&archive.path).unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + from.len()].copy_from_slice(to);
        Archive::new(&bytes)
    };
    let layer = tar(&fit());
    let saved = Archive::saved(std::slice::from_ref(&layer), &json!({}));
    refused(&change(&saved, b"a bundle", b"a bandle"), "and the configuration says sha256:");
    let layout = Archive::layout(std::slice::from_ref(&layer));
    refused(&change(&layout, b"a bundle", b"a bandle"), " is sha256:");
    refused(&change(&layout, br#""amd64","config""#, br#""arm64","config""#), " is sha256:");

    // Cut off where a file ends: a tar of its own, without the end that it should have.
    let mut config = config(&json!({}), std::slice::from_ref(&layer)).to_string().into_bytes();
    let manifest = br#"[{"Config": "config.json", "RepoTags": null, "Layers": ["layer.tar"]}]"#;
    let cut = &layer[..layer.len() - 1024 - 2 * 512];
    let archive = |config: &[u8], manifest: &[u8]| {
        Archive::new(&tar(&[
            ("config.json", 0o644, config),
            ("manifest.json", 0o644, manifest),
            ("layer.tar", 0o644, cut),
        ]))
    };
    refused(&archive(&config, manifest), "and the configuration says sha256:");
    let twice = br#"[{"Config": "config.json", "RepoTags": null, "Layers": ["layer.tar", "layer.tar"]}]"#;
    refused(&archive(&config, twice), "it has 2 layers, and its configuration 1");
    let often = vec!["\"layer.tar\""; 126].join(",");
    let often = format!("[{{\"Config\": \"config.json\", \"RepoTags\": null, \"Layers\": [{often}]}}]");
    refused(&archive(&config, often.as_bytes()), "it has 126 layers, and engines take 125");
    config.truncate(config.len() / 2);
    refused(&archive(&config, manifest), "config.json");
}

#[test]
fn what_has_no_end_or_waits_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let fifo = fifo.to_str().unwrap();
    let large = directory.path().join("large.yaml");
    std::fs::write(&large, "a: {".repeat(20_000)).unwrap();
    let large = large.to_str().unwrap();
    let archive = Archive::saved(&[tar(&fit())], &json!({}));
    let image = archive.path.to_str().unwrap();
    for args in [
        ["gate", "--archive", fifo].as_slice(),
        &["gate", "--archive", "/dev/zero"],
        &["check", "--facts", fifo],
        &["check", "--facts", "/dev/zero"],
        &["gate", "--archive", image, "--baseline", large],
        &["gate", "--archive", image, "--baseline", fifo],
        &["profiles", "lint", large],
        &["profiles", "lint", fifo],
    ] {
        let start = std::time::Instant::now();
        let output = dindcheck().args(args).output().unwrap();
        assert_ne!(output.status.code(), Some(0), "{args:?}: {}", all(&output));
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{args:?}: {:?}", start.elapsed());
    }
}

#[test]
fn a_baseline_accepts_what_is_known_until_its_day() {
    let archive = Archive::saved(&[tar(&fit())], &json!({ "User": "1000" }));
    let baseline = tempfile::NamedTempFile::new().unwrap();
    let gate = |text: &str| {
        std::fs::write(baseline.path(), text).unwrap();
        archive.gate(&["--baseline", baseline.path().to_str().unwrap()])
    };
    let known = |expires: &str| format!("known: [{{id: image.user, reason: \"sudo is used\", expires: {expires}}}]");
    let report = |output: std::process::Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();

    let accepted = report(gate(&known("2999-12-31")));
    assert_eq!((wrong(&accepted), accepted["exit_status"].as_i64()), (vec![], Some(0)));
    assert_eq!(accepted["baseline"]["accepted"][0]["reason"], "sudo is used");

    let expired = report(gate(&known("2020-01-31")));
    assert_eq!(wrong(&expired), ["image.user blocking", "baseline.expired warning"]);
    assert_eq!(expired["exit_status"], 1);

    let unused = report(gate("known: [{id: image.volumes, reason: x, expires: 2999-12-31}]"));
    assert_eq!(unused["baseline"]["unused"][0]["id"], "image.volumes");
    assert!(unused["findings"].as_array().unwrap().iter().any(|finding| finding["id"] == "baseline.unused"));

    let bad = gate("known: [{id: image.user, expires: 2999-12-31}]");
    assert_eq!(bad.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("missing field `reason`"), "{}", all(&bad));
}

#[test]
fn the_gate_fails_from_the_severity_that_is_asked_for() {
    let archive = Archive::saved(&[tar(&fit())], &json!({ "Volumes": {} }));
    assert_eq!(archive.gate(&[]).status.code(), Some(0));
    assert_eq!(archive.gate(&["--fail-on", "warning"]).status.code(), Some(1));
    assert_eq!(archive.gate(&["--fail-on", "warning", "--skip", "image.volumes"]).status.code(), Some(0));
}

#[test]
fn what_is_no_image_is_rejected() {
    let bomb = {
        // 64 MiB of nothing, in a layer that claims to hold a whole disk.
        let mut header = tar::Header::new_gnu();
        header.set_size(1 << 50);
        header.set_mode(0o755);
        header.set_path("usr/sbin/dockerd").unwrap();
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let cut = tar(&fit());
    for (archive, reason) in [
        (Archive::new(b""), "neither a manifest.json (docker save) nor an index.json (OCI layout)"),
        (Archive::new(&[0x1f, 0x8b, 8, 0]), "it is compressed"),
        (Archive::new(b"text, and no tar at all: ".repeat(100).as_slice()), "cannot read"),
        (Archive::new(&tar(&[("manifest.json", 0o644, b"[]")])), "there is no image in it"),
        (Archive::new(&tar(&[("manifest.json", 0o644, b"[{")])), "EOF while parsing"),
        (
            Archive::new(&tar(&[("manifest.json", 0o644, br#"[{"Config": "../../etc/passwd", "Layers": []}]"#)])),
            "is named, and is not in it",
        ),
        (
            Archive::new(&tar(&[("index.json", 0o644, br#"{"schemaVersion": 2, "manifests": []}"#)])),
            "there is no image in it",
        ),
        (Archive::saved(&[bomb], &json!({})), "layer 0/layer.tar"),
        (Archive::saved(&[cut[..cut.len() / 3].to_vec()], &json!({})), "layer 0/layer.tar"),
        (Archive::saved(&[vec![0x28, 0xb5, 0x2f, 0xfd, 1]], &json!({})), "layer 0/layer.tar"),
    ] {
        let output = archive.gate(&[]);
        assert_eq!(output.status.code(), Some(2), "{reason}: {}", all(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(reason.trim_start_matches("it ")), "{reason}: {said}");
    }
    let both = dindcheck().args(["gate", "x", "--archive", "y"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}
