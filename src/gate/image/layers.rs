//! Layers: tars, perhaps compressed, laid over each other.

use std::io::{self, BufRead, BufReader, Read};

use super::program::{self, WATCHED};
use super::tree::{Node, Tree};

/// What of an image is kept, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all layers when unpacked.
    pub unpacked: u64,
    /// Files that are kept in mind.
    pub files: usize,
    /// Bytes of one file's content.
    pub content: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpacked: 64 << 30, files: 1 << 20, content: 16 << 20 }
    }
}

/// A path longer than this cannot be opened (PATH_MAX, limits.h).
const MAX_PATH: usize = 4096;
/// Files whose content is kept, and the directories all of whose files are.
const KEPT: [&str; 10] = [
    "/etc/docker/daemon.json",
    "/etc/subuid",
    "/etc/subgid",
    "/etc/passwd",
    "/etc/group",
    "/var/lib/dpkg/status",
    "/lib/apk/db/installed",
    "/usr/lib/apk/db/installed",
    "/var/run/docker.pid",
    "/run/docker.pid",
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

/// Lays a layer over the tree; `budget` is what may still be unpacked.
pub(super) fn apply(
    tree: &mut Tree,
    layer: usize,
    packed: impl Read,
    limits: Limits,
    budget: &mut u64,
) -> io::Result<()> {
    let mut packed = BufReader::with_capacity(64 << 10, packed);
    let plain: Box<dyn Read + '_> = match Compression::of(packed.fill_buf()?) {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Compression::Zstd => Box::new(ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?),
    };
    let mut plain = Counted { inner: plain, left: budget };
    let mut archive = tar::Archive::new(&mut plain);
    for entry in archive.entries()? {
        add(tree, layer, &mut entry?, limits)?;
        if tree.len() > limits.files {
            return Err(io::Error::other(format!("it has more than {} programs and links", limits.files)));
        }
    }
    Ok(())
}

fn add(tree: &mut Tree, layer: usize, entry: &mut tar::Entry<'_, impl Read>, limits: Limits) -> io::Result<()> {
    let Some(path) = absolute(&entry.path_bytes()) else { return Ok(()) };
    let (directory, name) = path.rsplit_once('/').unwrap_or_default();
    if name == ".wh..wh..opq" {
        tree.empty(layer, directory);
        return Ok(());
    }
    if let Some(hidden) = name.strip_prefix(".wh.") {
        tree.remove(layer, &format!("{directory}/{hidden}"));
        return Ok(());
    }
    let kind = entry.header().entry_type();
    if kind.is_dir() {
        // A directory over a link or a file takes its place; over a directory it adds to it.
        if tree.get(&path).is_some() {
            tree.remove(layer, &path);
        }
        return Ok(());
    }
    // Whatever was there is gone, also where this file is none of those that are kept.
    tree.remove(layer, &path);
    let target = || {
        let target = entry.link_name_bytes().filter(|target| target.len() <= MAX_PATH);
        target.map(|target| String::from_utf8_lossy(&target).into_owned())
    };
    if kind.is_symlink() {
        if let Some(target) = target() {
            tree.insert(layer, path, Node::Link(target));
        }
    } else if kind.is_hard_link() {
        let original = target().and_then(|target| absolute(target.as_bytes()));
        if let Some(node) = original.and_then(|original| tree.get(&original).cloned()) {
            tree.insert(layer, path, node);
        }
    } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
        let executable = entry.header().mode().unwrap_or_default() & 0o111 != 0;
        if is_kept(&path) {
            let mut content = Vec::new();
            entry.take(limits.content).read_to_end(&mut content)?;
            tree.insert(layer, path, Node::File { executable, program: None, content: Some(content) });
        } else if executable || name.starts_with("ld-") {
            let program = program::read(entry, WATCHED.contains(&name))?;
            tree.insert(layer, path, Node::File { executable, program, content: None });
        } else if path.starts_with("/etc/ssl/") || path.starts_with("/etc/pki/") || path.starts_with("/var/lib/docker/")
        {
            tree.insert(layer, path, Node::File { executable, program: None, content: None });
        }
    } else {
        tree.insert(layer, path, Node::Special);
    }
    Ok(())
}

fn is_kept(path: &str) -> bool {
    let pid_file = ["/run/", "/var/run/"].iter().any(|run| path.starts_with(run)) && path.ends_with(".pid");
    KEPT.contains(&path) || pid_file || path.starts_with("/var/lib/dpkg/status.d/")
}

/// The absolute form of a path in a tar; none: one that leads out of it, or that nobody can open.
fn absolute(path: &[u8]) -> Option<String> {
    if path.len() > MAX_PATH {
        return None;
    }
    let text = String::from_utf8_lossy(path);
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| format!("/{}", parts.join("/")))
}

/// Ends with an error when too much was read: a small file can unpack to anything.
struct Counted<'a, R> {
    inner: R,
    left: &'a mut u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        *self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other("it unpacks to more than an image may have"))?;
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

    proptest::proptest! {
        #[test]
        fn no_bytes_bring_it_down(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2048)) {
            let mut budget = 1 << 20;
            let _ = apply(&mut Tree::default(), 0, bytes.as_slice(), Limits::default(), &mut budget);
        }
    }
}
