//! Layers: tars, perhaps compressed, laid over each other.

use std::io::{self, BufRead, BufReader, Read};
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::program::{self, WATCHED};
use super::tree::{Node, Overlay, Tree};

/// What may be read and kept of an image; and what of that is left, while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All layers as they are packed, in bytes. One that is named again counts again.
    pub packed: u64,
    /// All layers, unpacked, in bytes.
    pub unpacked: u64,
    /// All paths, targets of links and contents that are kept in mind, in bytes.
    pub kept: u64,
    /// The entries of all layers.
    pub entries: u64,
    /// When it has to be done; `None` if it may take its time.
    pub until: Option<Instant>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { packed: 64 << 30, unpacked: 64 << 30, kept: 128 << 20, entries: 8_000_000, until: None }
    }
}

impl Limits {
    /// Takes something that is kept from what is left.
    fn keep(&mut self, bytes: usize) -> io::Result<()> {
        // Each thing that is kept costs something beside its bytes.
        let cost = u64::try_from(bytes).map_err(io::Error::other)?.saturating_add(64);
        let left = self.kept.checked_sub(cost);
        self.kept =
            left.ok_or_else(|| io::Error::other("it has more programs, links and settings than an image may have"))?;
        Ok(())
    }

    /// Takes an entry from what is left.
    fn entry(&mut self) -> io::Result<()> {
        let left = self.entries.checked_sub(1);
        self.entries = left.ok_or_else(|| io::Error::other("it has more files than an image may have"))?;
        Ok(())
    }
}

/// A path longer than this cannot be opened (PATH_MAX, limits.h).
const MAX_PATH: usize = 4096;
/// Larger files are no settings, and larger headers no names.
const MAX_CONTENT: u64 = 16 << 20;
const MAX_HEADER: u64 = 64 << 10;
/// How far from the root directories are kept: whether they can be written to matters for few.
const DIRECTORY_DEPTH: usize = 3;
/// What makes certificates a user's own (command/run: DOCKER_TLS_CERTDIR).
const OWN_CERTIFICATES: [&str; 2] = ["/server/cert.pem", "/ca/key.pem"];
/// Files whose content is kept.
const KEPT: [&str; 8] = [
    "/etc/docker/daemon.json",
    "/etc/subuid",
    "/etc/subgid",
    "/etc/passwd",
    "/etc/group",
    "/var/lib/dpkg/status",
    "/lib/apk/db/installed",
    "/usr/lib/apk/db/installed",
];

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

impl Compression {
    /// Tells it by the first bytes: RFC 1952, RFC 8878.
    pub fn of(first: &[u8]) -> Self {
        if first.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else {
            Self::None
        }
    }
}

/// The digests of a layer, `sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digests {
    /// As it is packed: the name of its blob.
    pub(super) packed: String,
    /// Unpacked: what the configuration calls its diff_id (image-spec, config.md).
    pub(super) plain: String,
}

/// Lays a layer over the tree; `left` is what may still be read and kept. All of it is read, and gives its digests.
pub(super) fn apply(tree: &mut Tree, packed: impl Read, left: &mut Limits) -> io::Result<Digests> {
    const PACKED: &str = "its layers are more than an image may have";
    const PLAIN: &str = "it unpacks to more than an image may have";
    let mut packed = BufReader::with_capacity(64 << 10, Counted::new(packed, left.packed, PACKED, left.until));
    let compression = Compression::of(packed.fill_buf()?);
    let digest = {
        let plain: Box<dyn Read + '_> = match compression {
            Compression::None => Box::new(&mut packed),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(&mut packed)),
            Compression::Zstd => {
                Box::new(ruzstd::decoding::StreamingDecoder::new(&mut packed).map_err(io::Error::other)?)
            }
        };
        let mut plain = Counted::new(plain, left.unpacked, PLAIN, left.until);
        let mut archive = tar::Archive::new(&mut plain);
        let mut long = LongNames::default();
        let mut own = Overlay::new(tree);
        // Raw: the library would take names of any length into memory.
        for entry in archive.entries()?.raw(true) {
            let mut entry = entry?;
            left.entry()?;
            if !long.take(&mut entry)? {
                add(&mut own, &mut entry, std::mem::take(&mut long), left)?;
            }
        }
        let own = own.finish();
        tree.lay(own);
        // What is behind the end of the archive belongs to the layer too.
        io::copy(&mut plain, &mut io::sink())?;
        left.unpacked = plain.left;
        plain.digest()
    };
    io::copy(&mut packed, &mut io::sink())?;
    let packed = packed.into_inner();
    left.packed = packed.left;
    Ok(Digests { packed: packed.digest(), plain: digest })
}

/// The digest of a blob.
pub(super) fn digest(content: &[u8]) -> String {
    named(Sha256::digest(content).as_slice())
}

fn named(hash: &[u8]) -> String {
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// The names of the next entry that did not fit into its header.
#[derive(Default)]
struct LongNames {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

impl LongNames {
    /// Takes an entry that is no file but holds names of the next one, in GNU's or POSIX's way (tar(5)).
    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<bool> {
        let kind = entry.header().entry_type();
        let ours = kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions();
        if !ours {
            return Ok(kind.is_pax_global_extensions());
        }
        if entry.size() > MAX_HEADER {
            return Err(io::Error::other("it has a name that is too long for any file"));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        if kind.is_pax_local_extensions() {
            for extension in tar::PaxExtensions::new(&bytes) {
                let extension = extension?;
                match extension.key_bytes() {
                    b"path" => self.path = Some(extension.value_bytes().to_vec()),
                    b"linkpath" => self.target = Some(extension.value_bytes().to_vec()),
                    // The header has another one then, and what follows would be read from a wrong place.
                    b"size" => return Err(io::Error::other("it has a file of more than 8 GiB")),
                    _ => {}
                }
            }
        } else {
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
            *if kind.is_gnu_longname() { &mut self.path } else { &mut self.target } = Some(bytes);
        }
        Ok(true)
    }
}

fn add(
    tree: &mut Overlay<'_>,
    entry: &mut tar::Entry<'_, impl Read>,
    long: LongNames,
    left: &mut Limits,
) -> io::Result<()> {
    let path = long.path.unwrap_or_else(|| entry.path_bytes().into_owned());
    let Some(path) = absolute(&path) else { return Ok(()) };
    let (directory, name) = path.rsplit_once('/').unwrap_or_default();
    if name == ".wh..wh..opq" {
        return left.keep(tree.empty(directory));
    }
    if let Some(hidden) = name.strip_prefix(".wh.") {
        return left.keep(tree.remove(&format!("{directory}/{hidden}")));
    }
    let kind = entry.header().entry_type();
    if kind.is_dir() {
        // A directory over a link or a file takes its place; over a directory it adds to it.
        if tree.get(&path).is_some_and(|there| !matches!(there, Node::Directory { .. })) {
            left.keep(tree.remove(&path))?;
        }
        if path.matches('/').count() <= DIRECTORY_DEPTH {
            let (header, whose) = (entry.header(), |number: io::Result<u64>| number.unwrap_or_default());
            let mode = header.mode().unwrap_or_default();
            left.keep(path.len())?;
            tree.insert(path, Node::Directory { mode, uid: whose(header.uid()), gid: whose(header.gid()) });
        }
        return Ok(());
    }
    // Whatever was there is gone, also where this file is none of those that are kept.
    let hidden = tree.remove(&path);
    if hidden > 0 {
        left.keep(hidden)?;
    }
    let target = || {
        let target = long.target.or_else(|| Some(entry.link_name_bytes()?.into_owned()));
        target.filter(|target| target.len() <= MAX_PATH).unwrap_or_default()
    };
    let node = if kind.is_symlink() {
        Some(Node::Link(String::from_utf8_lossy(&target()).into_owned()))
    } else if kind.is_hard_link() {
        absolute(&target()).and_then(|original| tree.get(&original).cloned())
    } else if kind.is_file() || kind.is_contiguous() {
        file(entry, &path)?
    } else {
        Some(Node::Special)
    };
    if let Some(node) = node {
        left.keep(path.len() + node.weight())?;
        tree.insert(path, node);
    }
    Ok(())
}

/// A regular file, if it is one of those that are kept.
fn file(entry: &mut tar::Entry<'_, impl Read>, path: &str) -> io::Result<Option<Node>> {
    let executable = entry.header().mode().unwrap_or_default() & 0o111 != 0;
    let name = path.rsplit('/').next().unwrap_or_default();
    if is_kept(path) {
        let mut content = Vec::new();
        entry.take(MAX_CONTENT).read_to_end(&mut content)?;
        return Ok(Some(Node::File { executable, program: None, content: Some(content) }));
    }
    let program = executable || name.starts_with("ld-");
    let program = if program { program::read(entry, WATCHED.contains(&name))? } else { None };
    let certificates = ["/etc/ssl/", "/etc/pki/"].iter().any(|directory| path.starts_with(directory))
        || OWN_CERTIFICATES.iter().any(|name| path.ends_with(name));
    Ok((executable || program.is_some() || certificates).then_some(Node::File { executable, program, content: None }))
}

fn is_kept(path: &str) -> bool {
    let pid_file = ["/run/", "/var/run/"].iter().any(|run| path.starts_with(run)) && path.ends_with(".pid");
    KEPT.contains(&path) || pid_file
}

/// The absolute form of a path in a tar; `None` for one that leads out of it, or that no one can open.
fn absolute(path: &[u8]) -> Option<String> {
    if path.len() > MAX_PATH {
        return None;
    }
    let text = String::from_utf8_lossy(path);
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| format!("/{}", parts.join("/")))
}

/// Ends with an error when too much was read, or for too long: a small file can unpack to anything. Gives the digest of
/// what was read.
struct Counted<R> {
    inner: R,
    left: u64,
    too_much: &'static str,
    until: Option<Instant>,
    hash: Sha256,
}

impl<R: Read> Counted<R> {
    fn new(inner: R, left: u64, too_much: &'static str, until: Option<Instant>) -> Self {
        Self { inner, left, too_much, until, hash: Sha256::new() }
    }

    fn digest(self) -> String {
        named(self.hash.finalize().as_slice())
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.until.is_some_and(|until| Instant::now() > until) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it was not read in time (--timeout)"));
        }
        let count = self.inner.read(buffer)?;
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or_else(|| io::Error::other(self.too_much))?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for (path, wanted) in [
            ("./usr//bin/x", Some("/usr/bin/x")),
            ("/etc/x", Some("/etc/x")),
            ("../x", None),
            ("a/../x", None),
            (".", None),
        ] {
            assert_eq!(absolute(path.as_bytes()).as_deref(), wanted, "{path}");
        }
    }

    /// A header of a kind, and so many zeros behind it.
    fn entry(kind: tar::EntryType, path: &str, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(size);
        header.set_path(path).unwrap();
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn read(tar: impl Read, mut limits: Limits) -> io::Result<Tree> {
        let mut tree = Tree::default();
        apply(&mut tree, tar, &mut limits).map(|_| tree)
    }

    #[test]
    fn long_names_of_both_kinds_are_read_and_endless_ones_and_large_files_refused() {
        let long = format!("usr/{}/program", "x".repeat(200));
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(0);
        builder.append_data(&mut header, &long, io::empty()).unwrap();
        let target = format!("/{long}");
        builder.append_pax_extensions([("path", b"pax/link".as_slice()), ("linkpath", target.as_bytes())]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_data(&mut header, "short", io::empty()).unwrap();
        let tree = read(builder.into_inner().unwrap().as_slice(), Limits::default()).unwrap();
        assert_eq!(tree.resolve("/pax/link").map(|(path, _)| path), Some(target));

        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("size", b"9000000000".as_slice())]).unwrap();
        let error = read(builder.into_inner().unwrap().as_slice(), Limits::default()).unwrap_err();
        assert!(error.to_string().contains("a file of more than 8 GiB"), "{error}");

        let endless = entry(tar::EntryType::GNULongName, "././@LongLink", 1 << 40);
        let error = read(endless.as_slice().chain(io::repeat(0)), Limits::default()).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn what_unpacks_or_keeps_too_much_is_refused() {
        let large = entry(tar::EntryType::Regular, "usr/sbin/dockerd", 1 << 40);
        let limits = Limits { unpacked: 32 << 20, ..Limits::default() };
        let error = read(large.as_slice().chain(io::repeat(0)), limits).unwrap_err();
        assert!(error.to_string().contains("unpacks to more"), "{error}");

        let many: Vec<u8> = (0..1000).flat_map(|n| entry(tar::EntryType::Regular, &format!("bin/{n}"), 0)).collect();
        assert_eq!(read(many.as_slice(), Limits::default()).unwrap().len(), 1000);
        let error = read(many.as_slice(), Limits { kept: 32 << 10, ..Limits::default() }).unwrap_err();
        assert!(error.to_string().contains("more programs"), "{error}");
    }

    /// A tar of many links below `a`, and so many times an entry more.
    fn links_and(links: usize, kind: tar::EntryType, path: &str, times: usize) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Symlink);
        for link in 0..links {
            builder.append_link(&mut header, format!("a/{link}"), "x").unwrap();
        }
        header.set_entry_type(kind);
        for _ in 0..times {
            builder.append_data(&mut header, path, io::empty()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// How long this thread has had a processor (kernel Documentation/scheduler/sched-stats.rst): others may use it too.
    fn on_processor() -> std::time::Duration {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        std::time::Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    }

    #[test]
    fn whiteouts_cost_no_more_for_what_is_beside_them() {
        // In a layer of its own and in one above: none of its kind may walk what it does not remove.
        let lower = links_and(20_000, tar::EntryType::Regular, "b", 0);
        for (kind, path) in [
            (tar::EntryType::Regular, "a/.wh..wh..opq"),
            (tar::EntryType::Regular, "a/.wh.none"),
            (tar::EntryType::Regular, ".wh.a"),
            (tar::EntryType::Regular, "a"),
            (tar::EntryType::Directory, "a/"),
        ] {
            let start = on_processor();
            let mut tree = Tree::default();
            let mut left = Limits::default();
            apply(&mut tree, links_and(20_000, kind, path, 20_000).as_slice(), &mut left).unwrap();
            apply(&mut tree, lower.as_slice(), &mut left).unwrap();
            apply(&mut tree, links_and(0, kind, path, 20_000).as_slice(), &mut left).unwrap();
            // 800 million steps took 6 s and more.
            let took = on_processor() - start;
            assert!(took < std::time::Duration::from_secs(2), "{path}: {took:?}");
        }
    }

    #[test]
    fn entries_packed_bytes_and_time_have_limits() {
        let many = links_and(1000, tar::EntryType::Regular, "b", 0);
        for (limits, wanted) in [
            (Limits { entries: 999, ..Limits::default() }, "more files"),
            (Limits { packed: 4096, ..Limits::default() }, "its layers are more"),
            (Limits { until: Some(Instant::now()), ..Limits::default() }, "not read in time"),
        ] {
            let error = read(many.as_slice(), limits).unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
        }
        // A file whose packed bytes give nothing: each is a member that is empty.
        let empty = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let endless = io::repeat(0).take(0).chain(Cycle(empty.to_vec(), 0));
        let limits = Limits { packed: 1 << 20, ..Limits::default() };
        let error = read(endless, limits).unwrap_err();
        assert!(error.to_string().contains("its layers are more"), "{error}");
    }

    /// Bytes again and again.
    struct Cycle(Vec<u8>, usize);

    impl Read for Cycle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            for byte in buffer.iter_mut() {
                *byte = self.0[self.1];
                self.1 = (self.1 + 1) % self.0.len();
            }
            Ok(buffer.len())
        }
    }

    proptest::proptest! {
        /// A layer over another one, against the rules said plainly: entry by entry, over a map.
        #[test]
        fn layers_lie_over_each_other_as_the_rules_say(
            layers in proptest::collection::vec(proptest::collection::vec((0usize..6, "[ab](/[ab]){0,2}"), 0..8), 1..4)
        ) {
            let mut tree = Tree::default();
            let mut left = Limits::default();
            let mut plain = std::collections::BTreeMap::<String, (usize, bool)>::new();
            for (number, layer) in layers.iter().enumerate() {
                let mut builder = tar::Builder::new(Vec::new());
                for (kind, path) in layer {
                    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
                    let mut header = tar::Header::new_gnu();
                    header.set_size(0);
                    header.set_mode(0o755);
                    let full = format!("/{path}");
                    let hide = |plain: &mut std::collections::BTreeMap<String, (usize, bool)>, path: &str, itself: bool| plain.retain(|other, (from, _)| {
                        let below = other.starts_with(&format!("{path}/")) && *from < number;
                        !(below || itself && other == path)
                    });
                    match kind {
                        0 => {
                            builder.append_data(&mut header, format!("{directory}/.wh.{name}").trim_start_matches('/'), io::empty()).unwrap();
                            hide(&mut plain, &full, true);
                        }
                        1 => {
                            builder.append_data(&mut header, format!("{path}/.wh..wh..opq"), io::empty()).unwrap();
                            hide(&mut plain, &full, false);
                        }
                        2 => {
                            header.set_entry_type(tar::EntryType::Directory);
                            builder.append_data(&mut header, path, io::empty()).unwrap();
                            if plain.get(&full).is_some_and(|(_, is_directory)| !is_directory) {
                                hide(&mut plain, &full, true);
                            }
                            plain.insert(full, (number, true));
                        }
                        _ => {
                            builder.append_data(&mut header, path, io::empty()).unwrap();
                            hide(&mut plain, &full, true);
                            plain.insert(full, (number, false));
                        }
                    }
                }
                apply(&mut tree, builder.into_inner().unwrap().as_slice(), &mut left).unwrap();
            }
            let paths: Vec<String> = tree.below("").map(|(path, _)| path.to_owned()).collect();
            proptest::prop_assert_eq!(paths, plain.into_keys().collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_bring_it_down(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2048)) {
            let _ = read(bytes.as_slice(), Limits::default());
        }
    }
}
