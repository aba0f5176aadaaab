//! Layers: tars, perhaps compressed, laid over each other.

use std::io::{self, BufRead, BufReader, Read};

use super::program::{self, WATCHED};
use super::tree::{Node, Tree};

/// What may be read and kept of an image, in bytes; and what of that is left, while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All layers, unpacked.
    pub unpacked: u64,
    /// All paths, targets of links and contents that are kept in mind.
    pub kept: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpacked: 64 << 30, kept: 128 << 20 }
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
}

/// A path longer than this cannot be opened (PATH_MAX, limits.h).
const MAX_PATH: usize = 4096;
/// Larger files are no settings, and larger headers no names.
const MAX_CONTENT: u64 = 16 << 20;
const MAX_HEADER: u64 = 64 << 10;
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

/// Lays a layer over the tree; `left` is what may still be read and kept.
pub(super) fn apply(tree: &mut Tree, layer: usize, packed: impl Read, left: &mut Limits) -> io::Result<()> {
    let mut packed = BufReader::with_capacity(64 << 10, packed);
    let plain: Box<dyn Read + '_> = match Compression::of(packed.fill_buf()?) {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Compression::Zstd => Box::new(ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?),
    };
    let mut plain = Counted { inner: plain, left: left.unpacked };
    let mut archive = tar::Archive::new(&mut plain);
    let mut long = LongNames::default();
    // Raw: the library would take names of any length into memory.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        if !long.take(&mut entry)? {
            add(tree, layer, &mut entry, std::mem::take(&mut long), left)?;
        }
    }
    left.unpacked = plain.left;
    Ok(())
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
    tree: &mut Tree,
    layer: usize,
    entry: &mut tar::Entry<'_, impl Read>,
    long: LongNames,
    left: &mut Limits,
) -> io::Result<()> {
    let path = long.path.unwrap_or_else(|| entry.path_bytes().into_owned());
    let Some(path) = absolute(&path) else { return Ok(()) };
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
        tree.insert(layer, path, node);
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
    let certificates = ["/etc/ssl/", "/etc/pki/"].iter().any(|directory| path.starts_with(directory));
    Ok((executable || program.is_some() || certificates).then_some(Node::File { executable, program, content: None }))
}

fn is_kept(path: &str) -> bool {
    let pid_file = ["/run/", "/var/run/"].iter().any(|run| path.starts_with(run)) && path.ends_with(".pid");
    KEPT.contains(&path) || pid_file
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
struct Counted<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or_else(|| io::Error::other("it unpacks to more than an image may have"))?;
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
        apply(&mut tree, 0, tar, &mut limits).map(|()| tree)
    }

    #[test]
    fn long_names_of_both_kinds_are_read_and_endless_ones_refused() {
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

    proptest::proptest! {
        #[test]
        fn no_bytes_bring_it_down(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2048)) {
            let _ = read(bytes.as_slice(), Limits::default());
        }
    }
}
