//! What is fed, each a reader of data that others have written, and what has to hold of it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant, SystemTime};

use dindcheck::command::{self, arguments};
use dindcheck::configuration::{Configuration, Defaults, Environment, Sources};
use dindcheck::diagnosis::{self, Scanner};
use dindcheck::engine::api::image::About;
use dindcheck::engine::api::{Api, block_on};
use dindcheck::engine::remote::{self, Remote};
use dindcheck::engine::tls::{self, names};
use dindcheck::fact::Root;
use dindcheck::facts;
use dindcheck::fix::journal::Journal;
use dindcheck::foreign::{Filtered, Foreign, Form};
use dindcheck::gate::baseline::Baseline;
use dindcheck::gate::check::{self, Subject};
use dindcheck::gate::image::{Image, Limits, archive};
use dindcheck::gate::matrix;
use dindcheck::process::stat::Stat;
use dindcheck::profile::{Profile, Profiles, lint};
use dindcheck::report::seal::{self, Seal};
use dindcheck::version::{ApiVersion, EngineVersion};

/// One reader.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// What is mutated.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Words of its format.
    pub(crate) words: &'static [&'static str],
    /// Makes a mutated input one that is not refused at its first byte.
    pub(crate) repair: Option<fn(&mut [u8])>,
    /// Feeds it, in a directory of its own; gives what came of it.
    pub(crate) run: fn(&Path, &[u8]) -> String,
}

/// Finds one.
pub(crate) fn find(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target")
}

const fn target(name: &'static str, seeds: fn() -> Vec<Vec<u8>>, run: fn(&Path, &[u8]) -> String) -> Target {
    Target { name, seeds, words: &[], repair: None, run }
}

const fn with(target: Target, words: &'static [&'static str]) -> Target {
    Target { words, ..target }
}

const fn repaired(target: Target, repair: fn(&mut [u8])) -> Target {
    Target { repair: Some(repair), ..target }
}

const YAML: &[&str] = &["- ", ": ", "|", ">", "&a ", "*a", "<<: ", "!!str ", "? ", "%YAML 1.2\n---\n", "{", "["];
const JSON: &[&str] = &["{\"\":", "[[", "null", "1e309", "\"\\udc00\"", "{}", "[]"];

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    with(
        target("log", logs, log),
        &["time=\"", "level=error msg=\"", "WARN[", "ERRO[0000] ", "\u{1b}]8;;", "failed to"],
    ),
    with(target("signatures", || below("profiles/diagnoses", "yaml", 16 << 10), signatures), YAML),
    with(target("mountinfo", || captured("mountinfo"), mountinfo), &[" - ", "\\040", "shared:1", "cgroup2 ", " ro,"]),
    with(target("memberships", || captured("cgroup"), memberships), &["0::/", "name=systemd", ":/", ":::"]),
    with(target("stat", || captured("stat"), stat), &["(", ")", ") (", " Z "]),
    with(
        target("machine", || machines().iter().flat_map(|m| m.files.clone()).map(|file| file.1).collect(), machine),
        JSON,
    ),
    with(target("facts", facts_of_machines, facts_given), JSON),
    with(target("version", versions, version), &["~", "+dfsg", "-rc.", "v", ", build "]),
    with(target("packages", packages, package), &["Package: ", "Version: ", "P:", "V:", "\n\n"]),
    with(target("profile", || below("profiles", "yaml", 8 << 10), profile), YAML),
    with(target("outer", || below("profiles/outer", "yaml", 8 << 10), outer), YAML),
    with(target("matrix", matrices, yaml_of_the_gate), YAML),
    with(target("journal", journals, journal), JSON),
    with(target("report", reports, report), &["sealed ", "{\n", "\n}\n", "sealed 00\n"]),
    repaired(with(target("archive", archives, image), JSON), checksums),
    repaired(
        with(target("layer", layers, layer), &[".wh.", ".wh..wh..opq", "etc/docker/daemon.json", "../"]),
        checksums,
    ),
    with(
        target("http", answers, http),
        &["HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n", "\r\n\r\n", "100 Continue", "ffffffffffffffff\r\n"],
    ),
    with(target("ping", answers, ping), &["HTTP/1.1 ", "\r\n\r\n", "Content-Length: "]),
    with(target("flags", command_lines, flags), &["\0--", "\0-", "\0", "=", "--job", "gate", "check", "-H"]),
    with(target("words", daemon_files, configuration), JSON),
    with(target("host", hosts, docker_host), &["tcp://", "unix://", "[::", "]:", "fd://", "@"]),
    with(
        target(
            "names",
            || list(&["DNS:docker,DNS:localhost,IP:10.0.0.1", "DNS:*.example.org, IP:::1"]),
            certificate_names,
        ),
        &["IP:", "DNS:", "*."],
    ),
    with(
        target("certificates", certificates, tls_directory),
        &["-----BEGIN CERTIFICATE-----\n", "-----END", "-----BEGIN RSA PRIVATE KEY-----"],
    ),
    with(target("text", texts, text), &["::add-mask::", "##[error]", "password=", "://u:p@", "token\": \""]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn list(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The files below a directory whose name ends so, the small ones whole and no more than so many bytes of the others.
fn below(directory: &str, end: &str, most: usize) -> Vec<Vec<u8>> {
    files(&root().join(directory), end).iter().map(|path| begin(path, most)).collect()
}

fn begin(path: &Path, most: usize) -> Vec<u8> {
    let mut content = fs::read(path).unwrap_or_default();
    content.truncate(most);
    content
}

fn files(directory: &Path, end: &str) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all.extend(files(&path, end)),
            Ok(kind) if kind.is_file() && path.to_string_lossy().ends_with(end) => all.push(path),
            _ => {}
        }
    }
    all.sort();
    all
}

fn captured(name: &str) -> Vec<Vec<u8>> {
    below("tests/hosts", name, 16 << 10)
}

fn profiles() -> &'static Profiles {
    static PROFILES: LazyLock<Profiles> = LazyLock::new(|| Profiles::load(None).expect("the built-in profiles"));
    &PROFILES
}

fn newest() -> &'static Profile {
    static NEWEST: LazyLock<Profile> = LazyLock::new(|| profiles().resolve(&profiles().newest()).expect("it is there"));
    &NEWEST
}

/// Does what a command line says, in this process, with the report in a file; gives the report.
fn command(room: &Path, words: &[&str]) -> String {
    let out = room.join("out");
    let words = ["dindcheck"].iter().chain(words).map(OsString::from);
    let words = words.chain([OsString::from("--output"), out.clone().into()]);
    let cli = arguments::parse(words).expect("a sound command line");
    let told = match command::dispatch(&cli) {
        Ok(status) => status.to_string(),
        Err(error) => format!("{error:#}"),
    };
    let report = fs::read_to_string(&out).unwrap_or_default();
    let _ = fs::remove_file(&out);
    // Which of the findings fail is an outcome; the rest of a report is noise.
    let report: serde_json::Value = serde_json::from_str(&report).unwrap_or_default();
    let findings = report["findings"].as_array().into_iter().flatten();
    findings.fold(told, |told, finding| format!("{told} {} {}", finding["id"], finding["outcome"]))
}

fn logs() -> Vec<Vec<u8>> {
    below("tests/logs", ".log", 4 << 10)
}

/// In pieces of any size the same is found as in one.
fn log(_: &Path, input: &[u8]) -> String {
    let size = input.first().map_or(1, |byte| usize::from(*byte) + 1);
    let mut scanner = Scanner::new(diagnosis::Options::default()).expect("the signatures are sound");
    input.chunks(size).for_each(|piece| scanner.feed(piece));
    let found = scanner.finish();
    assert_eq!(found, diagnosis::diagnose(input, diagnosis::Options::default()).expect("no read fails"));
    format!("{:?}", found.cause().map(|cause| cause.id.clone()))
}

fn signatures(_: &Path, input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    match diagnosis::Library::from_files([("x.yaml", text.as_ref())]) {
        Ok(library) => format!("{} causes", library.causes().len()),
        Err(error) => error.to_string(),
    }
}

fn mountinfo(_: &Path, input: &[u8]) -> String {
    let mounts = facts::mounts::parse(&String::from_utf8_lossy(input));
    let of = |path: &str| mounts.of(path).map(|mount| mount.describe());
    format!("{:?}", ["/", "/sys/fs/cgroup", "/var/lib/docker", "/proc/sys"].map(of))
}

fn memberships(_: &Path, input: &[u8]) -> String {
    format!("{:?}", facts::cgroup::parse_memberships(&String::from_utf8_lossy(input)))
}

fn stat(_: &Path, input: &[u8]) -> String {
    let stat = Stat::parse(&String::from_utf8_lossy(input));
    stat.map_or_else(String::new, |stat| {
        format!("{} {:?} {} {:?}", stat.is_over(), stat.is_realtime(), stat.cpu_ticks(), stat.started_ticks())
    })
}

/// A captured machine, with files that tell of more than it has.
struct Machine {
    directory: PathBuf,
    /// By their paths below it.
    files: Vec<(PathBuf, Vec<u8>)>,
}

const MORE: [(&str, &str); 12] = [
    (
        "etc/docker/daemon.json",
        "{\"data-root\": \"/d\", \"hosts\": [\"unix:///a\"], \"features\": {\"x\": true}, \"bip\": \"10.0.0.1/8\"}",
    ),
    ("etc/resolv.conf", "# x\nnameserver 127.0.0.11\nnameserver fe80::1%eth0\noptions ndots:0 edns0\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 ip6-localhost\n"),
    (
        "proc/net/route",
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\n",
    ),
    (
        "proc/net/ipv6_route",
        "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n",
    ),
    (
        "proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 524288               files     \n",
    ),
    ("proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t1\t1\n"),
    ("proc/filesystems", "nodev\toverlay\n\text4\n"),
    ("proc/modules", "overlay 151552 0 - Live 0x0000000000000000\n"),
    ("var/run/docker.pid", "17"),
    ("etc/subuid", "dockremap:100000:65536\n"),
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
];

fn machines() -> &'static [Machine] {
    static MACHINES: LazyLock<Vec<Machine>> = LazyLock::new(|| {
        let hosts = fs::read_dir(root().join("tests/hosts")).expect("captured machines").flatten();
        let mut directories: Vec<PathBuf> = hosts.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        directories.sort();
        let read = |directory: PathBuf| {
            let mut all: Vec<(PathBuf, Vec<u8>)> = files(&directory, "")
                .into_iter()
                .filter_map(|path| Some((path.strip_prefix(&directory).ok()?.to_owned(), fs::read(&path).ok()?)))
                .collect();
            all.extend(MORE.map(|(path, content)| (PathBuf::from(path), content.as_bytes().to_vec())));
            Machine { files: all, directory }
        };
        directories.into_iter().map(read).collect()
    });
    &MACHINES
}

/// One file of a captured machine is another one: what the machine is, and which file, is reported by the input's length.
fn machine(room: &Path, input: &[u8]) -> String {
    let machines = machines();
    let machine = &machines[input.len() % machines.len()];
    let place = room.join(machine.directory.file_name().expect("a name"));
    let put = |(path, content): &(PathBuf, Vec<u8>)| {
        let path = place.join(path);
        fs::create_dir_all(path.parent().expect("a directory"))
            .and_then(|()| fs::write(path, content))
            .expect("written");
    };
    if !place.exists() {
        machine.files.iter().for_each(put);
    }
    let sum: usize = input.iter().map(|byte| usize::from(*byte)).sum();
    let (path, content) = &machine.files[(input.len() / machines.len() + sum) % machine.files.len()];
    put(&(path.clone(), input.to_vec()));
    let root = place.to_string_lossy();
    let told = command(room, &["check", "--root", &root, "--format", "json"]);
    put(&(path.clone(), content.clone()));
    told
}

/// As `dindcheck facts` writes them.
fn facts_of_machines() -> Vec<Vec<u8>> {
    let profile = newest();
    let facts = |machine: &Machine| {
        let configuration = Configuration::of_words(&["--mtu=1400"]);
        let facts = crate::machine::facts(Root::new(&machine.directory), profile, configuration);
        serde_json::to_vec(&facts).expect("JSON")
    };
    machines().iter().map(facts).collect()
}

/// Each form of a report is written, too.
fn facts_given(room: &Path, input: &[u8]) -> String {
    let file = room.join("facts.json");
    fs::write(&file, input).expect("written");
    let file = file.to_string_lossy();
    let form = ["table", "junit", "sarif", "github", "prometheus", "html"][input.len() % 6];
    command(room, &["check", "--facts", &file, "--format", form]);
    command(room, &["check", "--facts", &file, "--format", "json"])
}

fn versions() -> Vec<Vec<u8>> {
    list(&[
        "20.10.5+dfsg1",
        "Docker version 28.5.2, build ecc6942",
        "v29.0.0-rc.1",
        "1.13.1",
        "17.05.0-ce",
        "containerd github.com/x v2.1.0 abc",
    ])
}

/// What is read is written as what is read.
fn version(_: &Path, input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let read = text.parse::<EngineVersion>();
    if let Ok(version) = &read {
        assert_eq!(version.to_string().parse::<EngineVersion>().ok().as_ref(), Some(version));
        let _ = profiles().resolve(version);
    }
    let said = [EngineVersion::from_output(&text), EngineVersion::from_companion(&text)];
    format!("{} {} {:?}", read.is_ok(), text.parse::<ApiVersion>().is_ok(), said.map(|said| said.is_some()))
}

fn packages() -> Vec<Vec<u8>> {
    list(&[
        "Package: docker.io\nStatus: install ok installed\nVersion: 26.1.5+dfsg1-9+b9\n\nPackage: docker-ce\nVersion: 5:28.5.2-1~debian.12~bookworm\n",
        "C:Q1\nP:docker-engine\nV:28.3.3-r1\nA:x86_64\n\n",
    ])
}

fn package(_: &Path, input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    format!("{:?}", facts::packages::version_of("dockerd", &|_| Some(text.to_string())))
}

fn profile(room: &Path, input: &[u8]) -> String {
    linted(room, "x.yaml", input)
}

fn outer(room: &Path, input: &[u8]) -> String {
    linted(room, "outer/x.yaml", input)
}

fn linted(room: &Path, name: &str, input: &[u8]) -> String {
    let file = room.join(name);
    fs::create_dir_all(file.parent().expect("a directory")).and_then(|()| fs::write(&file, input)).expect("written");
    let problems = lint(&[file], None);
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn matrices() -> Vec<Vec<u8>> {
    let own = "- {name: small, memory: 512m, data-root: tmpfs, cgroup-namespace: private, drill: kill, expect: pass}\n";
    let known = "known: [{id: image.volumes, reason: \"x\", expires: 2027-06-30}, {id: a, cell: b, reason: c}]\n";
    [below("src/gate", "matrix.yaml", 8 << 10), list(&[own, known])].concat()
}

fn yaml_of_the_gate(_: &Path, input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let cells = matrix::parse(&text);
    let titles = cells.iter().flatten().map(|cell| format!("{} {:?}", cell.title(), cell.memory_bytes().is_ok()));
    format!("{:?} {:?} {:?}", titles.collect::<Vec<_>>(), cells.as_ref().err(), Baseline::parse(&text).err())
}

fn journals() -> Vec<Vec<u8>> {
    list(&[
        "{\"life\":\"\",\"check\":\"a\",\"step\":{\"add-flag\":{\"flag\":\"--mtu=1400\"}}}\n",
        "{\"check\":\"b\",\"step\":{\"write-file\":{\"path\":\"/a\",\"content\":\"1\",\"before\":\"0\"}}}\n{\"check\":\"c\",\"step\":{\"remove-file\":{\"path\":\"/b\",\"content\":\"x\"}}}\n",
    ])
}

/// What is kept is read again, and each step has its inverse and its words.
fn journal(room: &Path, input: &[u8]) -> String {
    let directory = room.join("state");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).expect("made");
    fs::write(directory.join("journal"), input).expect("written");
    let journal = Journal::at(directory.join("journal"));
    let Ok(read) = journal.read() else { return "unread".to_owned() };
    for entry in &read.entries {
        let _ = (entry.step.shell(), entry.step.inverse().shell());
        let text = serde_json::to_string(&entry.step).expect("JSON");
        assert_eq!(serde_json::from_str::<dindcheck::fix::step::Step>(&text).ok().as_ref(), Some(&entry.step));
    }
    let _ = (journal.flags(), journal.soft_limits());
    if !read.entries.is_empty() && journal.keep(read.entries.len() - 1).is_ok() {
        assert_eq!(journal.entries().ok().map(|left| left.len()), Some(read.entries.len() - 1));
    }
    format!("{:?}", (read.entries.len(), read.broken))
}

fn reports() -> Vec<Vec<u8>> {
    let report = "{\n  \"exit_status\": 0,\n  \"findings\": []\n}\n";
    let seal = Seal::read([7; 64].as_slice()).expect("a key");
    vec![seal.seal(report).into_bytes(), format!("noise\n{report}sealed 00\n{}", seal.seal("{\n}\n")).into_bytes()]
}

/// What the seal of a run is not on is not taken: it is on two texts alone.
fn report(_: &Path, input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let found = Seal::read([7; 64].as_slice()).expect("a key").find(&text);
    if let Some(found) = &found {
        let ours = [serde_json::json!({}), serde_json::json!({ "exit_status": 0, "findings": [] })];
        assert!(ours.contains(found), "{found}");
    }
    format!("{} {}", found.is_some(), seal::is_there(&text))
}

/// Writes each header's checksum, and the end.
fn checksums(tar: &mut [u8]) {
    for block in tar.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, path, *content).expect("written");
    }
    builder.into_inner().expect("written")
}

fn layers() -> Vec<Vec<u8>> {
    let mut links = tar::Builder::new(Vec::new());
    for (kind, path, to) in [
        (tar::EntryType::Symlink, "usr/bin/dockerd", "../lib/dockerd"),
        (tar::EntryType::Link, "usr/lib/dockerd", "usr/bin/dockerd"),
        (tar::EntryType::Fifo, "run/docker.sock", ""),
        (tar::EntryType::Directory, "var/lib/docker", ""),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        if to.is_empty() {
            header.set_path(path).expect("a path");
            header.set_cksum();
            links.append(&header, std::io::empty()).expect("written");
        } else {
            links.append_link(&mut header, path, to).expect("written");
        }
    }
    vec![
        tar(&[
            ("usr/bin/dockerd", &elf()),
            ("usr/bin/runc", b"#!/bin/sh\n"),
            ("etc/docker/daemon.json", b"{\"debug\": true}"),
            ("var/lib/dpkg/status", b"Package: docker.io\nStatus: install ok installed\nVersion: 26.1.5+dfsg1-9\n\n"),
            ("etc/passwd", b"root:x:0:0::/:/bin/sh\n"),
            ("a/.wh.b", b""),
        ]),
        links.into_inner().expect("written"),
    ]
}

fn archives() -> Vec<Vec<u8>> {
    let config = "{\"architecture\": \"amd64\", \"config\": {\"Entrypoint\": [\"dockerd\"], \"Env\": [\"PATH=/usr/bin\"], \"Volumes\": {\"/v\": {}}}, \"rootfs\": {\"type\": \"layers\", \"diff_ids\": []}}";
    let manifest = "[{\"Config\": \"c.json\", \"RepoTags\": [\"x:1\"], \"Layers\": []}]";
    let index = "{\"schemaVersion\": 2, \"manifests\": [{\"mediaType\": \"application/vnd.oci.image.manifest.v1+json\", \"digest\": \"sha256:0000000000000000000000000000000000000000000000000000000000000000\", \"size\": 2, \"platform\": {\"architecture\": \"amd64\", \"os\": \"linux\"}}]}";
    vec![
        tar(&[("c.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())]),
        tar(&[
            ("oci-layout", b"{\"imageLayoutVersion\": \"1.0.0\"}"),
            ("index.json", index.as_bytes()),
            ("blobs/sha256/0000000000000000000000000000000000000000000000000000000000000000", b"{}"),
        ]),
    ]
}

fn small() -> Limits {
    Limits {
        unpacked: 8 << 20,
        kept: 4 << 20,
        until: Some(Instant::now() + Duration::from_secs(60)),
        ..Limits::default()
    }
}

fn judged(image: &Image) -> String {
    let engine = image.engine();
    let profile = engine.as_ref().and_then(|said| profiles().resolve(&said.version).ok());
    let profile = profile.as_ref().unwrap_or_else(|| newest());
    let findings = check::run(Subject { image, engine: engine.as_ref(), profile }, |_| true);
    findings.iter().map(|finding| format!("{} {:?} ", finding.id, finding.outcome)).collect()
}

fn image(room: &Path, input: &[u8]) -> String {
    let file = room.join("image.tar");
    fs::write(&file, input).expect("written");
    match archive::read(&file, "amd64", small()) {
        Ok(image) => judged(&image),
        Err(error) => error.to_string().replace(&*room.to_string_lossy(), ""),
    }
}

fn layer(_: &Path, input: &[u8]) -> String {
    match archive::flat(input, "x", small()) {
        Ok(tree) => {
            let config =
                About { entrypoint: vec!["dockerd".to_owned()], architecture: "amd64".to_owned(), ..About::default() };
            judged(&Image { name: "x".to_owned(), config, tree })
        }
        Err(error) => error.to_string(),
    }
}

/// A program as Go makes it.
fn elf() -> Vec<u8> {
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    elf.extend([0; 8]);
    elf.extend(64u64.to_le_bytes());
    elf.extend([0; 8]);
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    elf.extend([3, 0, 0, 0, 4, 0, 0, 0]);
    for number in [120u64, 0, 0, 28, 28, 1] {
        elf.extend(number.to_le_bytes());
    }
    elf.extend(b"/lib64/ld-linux-x86-64.so.2\0");
    elf.extend(b"\xff Go buildinf:\x08\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08go1.24.9\x10path\tx\nmod\tx\tv1.2.3\n");
    elf
}

fn answers() -> Vec<Vec<u8>> {
    let version = "{\"Version\":\"28.5.2\",\"ApiVersion\":\"1.51\",\"MinAPIVersion\":\"1.24\",\"Os\":\"linux\"}";
    let inspected = "{\"Id\":\"a\",\"Version\":\"1.9.1\",\"ApiVersion\":\"1.21\",\"Config\":{\"Env\":[\"A=b\"],\"Volumes\":null},\"State\":{\"Running\":true,\"ExitCode\":0}}";
    let whole = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{inspected}\r\n0\r\n\r\n",
        inspected.len()
    );
    let refused = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 15\r\n\r\n{\"message\":\"x\"}";
    [whole(version), whole(inspected), whole("[]"), chunked, refused.to_owned(), "HTTP/1.1 200 OK\r\n\r\nOK".to_owned()]
        .map(String::into_bytes)
        .to_vec()
}

/// A daemon that gives to each connection what it was told.
struct Daemon {
    socket: PathBuf,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Daemon {
    /// That of this thread.
    fn answering(room: &Path, input: &[u8]) -> PathBuf {
        thread_local!(static OWN: RefCell<Option<Daemon>> = const { RefCell::new(None) });
        OWN.with_borrow_mut(|own| {
            let daemon = own.get_or_insert_with(|| Self::new(room));
            *daemon.answer.lock().expect("no one panics with it") = input.to_vec();
            daemon.socket.clone()
        })
    }

    fn new(room: &Path) -> Self {
        let socket = room.join("docker.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let answer: Arc<Mutex<Vec<u8>>> = Arc::default();
        let given = answer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(mut stream), Ok(given)) = (stream, given.lock()) else { continue };
                // A request of ours comes in one piece.
                let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&given);
            }
        });
        Self { socket, answer }
    }
}

fn http(room: &Path, input: &[u8]) -> String {
    let socket = Daemon::answering(room, input);
    let told = block_on(async {
        let api = match Api::connect(&socket.to_string_lossy(), Duration::from_secs(60)).await {
            Ok(api) => api,
            Err(error) => return error.to_string(),
        };
        let state = api.state("x").await.map(|state| state.running);
        let about = api.about_image("x").await.map(|about| about.is_some());
        format!("{} {state:?} {about:?} {:?}", api.version, api.running().await)
    });
    told.expect("a runtime").replace(&*room.to_string_lossy(), "")
}

fn ping(room: &Path, input: &[u8]) -> String {
    let socket = Daemon::answering(room, input);
    format!("{:?}", remote::ping_unix(&socket.to_string_lossy(), Instant::now() + Duration::from_secs(60)))
}

fn command_lines() -> Vec<Vec<u8>> {
    list(&[
        "--fix\0--format=json\0--data-root\0/d",
        "--job\0--mtu=1400\0sh\0-c\0true",
        "check\0--skip\0network.mtu\0--strict",
        "gate\0x\0--matrix\0full\0--jobs\0",
        "--exit\0--\0dockerd\0-H\0tcp://0.0.0.0:2375\0--log-opt\0a=b",
        "diagnose\0-",
    ])
}

fn split(input: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(input).split('\0').map(str::to_owned).collect()
}

fn flags(_: &Path, input: &[u8]) -> String {
    let words = split(input);
    match arguments::parse([String::from("dindcheck")].iter().chain(&words).map(OsString::from)) {
        Ok(cli) => format!("{:?}", cli.run.for_daemon().len().min(4)),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn daemon_files() -> Vec<Vec<u8>> {
    list(&[
        "{\"hosts\": [\"tcp://1.2.3.4:2376\"], \"tlsverify\": true, \"log-opts\": {\"a\": \"b\"}}\0--host=fd://\0-D\0--storage-driver\0vfs",
        "{\"default-address-pools\": [{\"base\": \"10.0.0.0/8\", \"size\": 24}], \"features\": {\"containerd-snapshotter\": true}}\0--config-file=/x",
    ])
}

/// The configuration file and the daemon's words.
fn configuration(_: &Path, input: &[u8]) -> String {
    let mut words = split(input);
    let file = words.remove(0);
    let environment = Environment::of(|name| words.first().filter(|_| name == "DINDCHECK_DAEMON_ARGS").cloned());
    let read = Configuration::read(Sources {
        given: &words,
        added: &[],
        environment: &environment,
        defaults: &Defaults::placed(str::to_owned),
        version: Some(&profiles().newest()),
        read: &|_| Ok(Some(file.clone())),
    });
    match read {
        Ok(read) => {
            let _ = (read.hosts(), read.listens(), read.tls(), read.socket(), read.data_root(), read.pidfile());
            let json = serde_json::to_string(&read).expect("JSON");
            assert!(serde_json::from_str::<Configuration>(&json).is_ok());
            format!("{} settings", read.settings.len().min(4))
        }
        Err(error) => error.to_string(),
    }
}

fn hosts() -> Vec<Vec<u8>> {
    list(&["tcp://127.0.0.1:2376", "unix:///run/docker.sock", "tcp://[::1]", ":2375", "npipe://x", "ssh://u@h"])
}

fn docker_host(_: &Path, input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    format!("{:?}", Remote::of_environment(|name| (name == "DOCKER_HOST").then(|| text.to_string())))
}

fn certificate_names(_: &Path, input: &[u8]) -> String {
    format!("{:?}", names::parse(&String::from_utf8_lossy(input)))
}

const FILES: [&str; 7] = [
    "ca/cert.pem",
    "ca/key.pem",
    "server/cert.pem",
    "server/key.pem",
    "client/cert.pem",
    "client/key.pem",
    "server/ca.pem",
];

/// A directory of certificates as we make them.
fn sound() -> &'static [Vec<u8>] {
    static SOUND: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let room = tempfile::tempdir().expect("a directory");
        tls::ensure(room.path(), &names::parse("DNS:docker").expect("a name"), SystemTime::now()).expect("made");
        FILES.map(|name| fs::read(room.path().join(name)).expect("it was made")).to_vec()
    });
    &SOUND
}

fn certificates() -> Vec<Vec<u8>> {
    sound().to_vec()
}

/// One of the files is another one. Whatever it is, there are sound certificates at the end, or it says why not.
fn tls_directory(room: &Path, input: &[u8]) -> String {
    let directory = room.join("certs");
    let _ = fs::remove_dir_all(&directory);
    for (index, (name, content)) in FILES.iter().zip(sound()).enumerate() {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        let content = if index == input.len() % FILES.len() { input } else { content };
        fs::write(path, content).expect("written");
    }
    match tls::ensure(&directory, &names::parse("DNS:docker").expect("a name"), SystemTime::now()) {
        Ok(made) => format!("{made:?}"),
        Err(error) => error.to_string().replace(&*room.to_string_lossy(), ""),
    }
}

fn texts() -> Vec<Vec<u8>> {
    list(&[
        "line\n ::error::x\n##[group]y\u{1b}[31m\u{202e}\n",
        "--http-proxy=http://user:pw@p:1 --log-opt splunk-token=abc {\"password\": \"x\"}",
    ])
}

/// What is shown moves nothing and is no command.
fn text(_: &Path, input: &[u8]) -> String {
    let text = Foreign::of_bytes(input);
    let shown = text.text();
    assert!(!shown.chars().any(|c| c != '\n' && c.is_control()), "{shown:?}");
    assert!(!shown.lines().any(|line| line.trim_start().starts_with("::") || line.contains("##")), "{shown:?}");
    assert!(!text.line().contains('\n'), "{text:?}");
    let json = serde_json::json!({ text.raw(): text.raw() }).to_string();
    let mut written = Vec::new();
    let mut out = Filtered::new(Form::Json, &mut written);
    out.write_all(json.as_bytes()).and_then(|()| out.flush()).expect("memory");
    drop(out);
    assert!(serde_json::from_slice::<serde_json::Value>(&written).is_ok(), "{json}");
    format!("{}", shown == text.raw())
}
