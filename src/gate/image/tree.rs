//! The files of an image that matter: links, programs, and the content of a few.

use std::collections::{BTreeMap, BTreeSet};

use super::Program;

/// How many links are followed for one path, as the kernel does it (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Whether someone may run it.
        executable: bool,
        /// What kind of program it is, if it is one.
        program: Option<Program>,
        /// Its content, if it is one of those that are kept.
        content: Option<Vec<u8>>,
    },
    /// A directory, of those near the root.
    Directory {
        /// Its permissions (inode(7)).
        mode: u32,
        /// Its owner.
        uid: u64,
        /// Its group.
        gid: u64,
    },
    /// A symbolic link.
    Link(String),
    /// A socket, a pipe or a device.
    Special,
}

impl Node {
    /// How many bytes it takes to keep it.
    pub(super) fn weight(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Self::File { program, content, .. } => {
                let program = program
                    .as_ref()
                    .map_or(0, |own| length(&own.architecture) + length(&own.interpreter) + length(&own.version));
                program + content.as_ref().map_or(0, Vec::len)
            }
            Self::Link(target) => target.len(),
            Self::Directory { .. } | Self::Special => 0,
        }
    }
}

/// The files, by their absolute paths.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

/// A layer while it is read: what it brings, and what it hides of those below, which is collected and applied once
/// (image-spec, layer.md: whiteouts are for lower layers alone).
#[derive(Debug)]
pub(super) struct Overlay<'t> {
    lower: &'t Tree,
    own: Layer,
}

/// What a layer brings and hides.
#[derive(Debug, Default)]
pub(super) struct Layer {
    nodes: BTreeMap<String, Node>,
    /// Paths; with a slash at the end what is in them, and else they themselves too.
    hidden: BTreeSet<String>,
}

impl<'t> Overlay<'t> {
    pub(super) fn new(lower: &'t Tree) -> Self {
        Self { lower, own: Layer::default() }
    }

    pub(super) fn finish(self) -> Layer {
        self.own
    }

    pub(super) fn insert(&mut self, path: String, node: Node) {
        self.own.nodes.insert(path, node);
    }

    /// What is at a path now.
    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.own.nodes.get(path).or_else(|| self.lower.get(path).filter(|_| !self.hides(path)))
    }

    /// Removes a file, or a directory with all that lower layers have in it; gives how many bytes that takes to remember.
    pub(super) fn remove(&mut self, path: &str) -> usize {
        self.own.nodes.remove(path);
        match self.lower.get(path).is_some() || self.lower.has_below(path) {
            true => self.hide(path.to_owned()),
            false => 0,
        }
    }

    /// Removes what lower layers have in a directory; gives how many bytes that takes to remember.
    pub(super) fn empty(&mut self, path: &str) -> usize {
        if self.lower.has_below(path) { self.hide(format!("{path}/")) } else { 0 }
    }

    fn hide(&mut self, hidden: String) -> usize {
        let length = hidden.len();
        if self.own.hidden.insert(hidden) { length } else { 0 }
    }

    /// Whether a path of lower layers is hidden.
    fn hides(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        self.own.hidden.contains(path)
            || above.into_iter().any(|directory| {
                self.own.hidden.contains(directory) || self.own.hidden.contains(&format!("{directory}/"))
            })
    }
}

impl Tree {
    /// How many files are kept.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Whether anything is in a directory.
    fn has_below(&self, path: &str) -> bool {
        self.below(path).next().is_some()
    }

    /// Lays a layer over it: what that hides goes, and then what it brings comes.
    pub(super) fn lay(&mut self, layer: Layer) {
        for hidden in &layer.hidden {
            let directory = hidden.trim_end_matches('/');
            if directory.len() == hidden.len() {
                self.nodes.remove(hidden);
            }
            let old: Vec<String> = self.below(directory).map(|(path, _)| path.to_owned()).collect();
            for path in old {
                self.nodes.remove(&path);
            }
        }
        self.nodes.extend(layer.nodes);
    }

    /// The files directly or indirectly in a directory.
    pub fn below(&self, path: &str) -> impl Iterator<Item = (&str, &Node)> {
        let inside = (format!("{path}/"), format!("{path}0"));
        self.nodes.range(inside.0..inside.1).map(|(path, node)| (path.as_str(), node))
    }

    /// Follows links, in the middle of the path too; gives the real path and what is there. None: nothing that is kept,
    /// or links that lead nowhere.
    pub fn resolve(&self, path: &str) -> Option<(String, &Node)> {
        let mut rest: Vec<String> = parts(path);
        let mut real = String::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                real.truncate(real.rfind('/').unwrap_or_default());
                continue;
            }
            let here = format!("{real}/{part}");
            match self.get(&here) {
                Some(Node::Link(target)) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.starts_with('/') {
                        real.clear();
                    }
                    rest.extend(parts(target));
                }
                _ => real = here,
            }
        }
        let node = self.get(&real)?;
        Some((real, node))
    }
}

/// The parts of a path, the first one at the end.
fn parts(path: &str) -> Vec<String> {
    path.rsplit('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Node {
        Node::File { executable: true, program: None, content: None }
    }

    fn tree(files: &[(&str, Node)]) -> Tree {
        let mut tree = Tree::default();
        for (path, node) in files {
            tree.nodes.insert((*path).to_owned(), node.clone());
        }
        tree
    }

    #[test]
    fn what_is_kept_has_its_weight() {
        let program = Program {
            architecture: Some("amd64".into()),
            interpreter: Some("/lib/ld".into()),
            version: Some("1.2".into()),
        };
        let file = |program, content: Option<&[u8]>| {
            Node::File { executable: false, program, content: content.map(<[u8]>::to_vec) }.weight()
        };
        assert_eq!([file(None, None), file(None, Some(b"1234")), file(Some(program.clone()), None)], [0, 4, 15]);
        assert_eq!(file(Some(program), Some(b"1234")), 19);
        assert_eq!([Node::Link("/a/b".to_owned()).weight(), Node::Special.weight()], [4, 0]);
    }

    #[test]
    fn links_are_followed_as_the_kernel_does() {
        let link = |target: &str| Node::Link(target.to_owned());
        let tree = tree(&[
            ("/bin", link("usr/bin")),
            ("/usr/bin/sh", link("../../bin/dash")),
            ("/usr/bin/dash", file()),
            ("/loop", link("/loop")),
            ("/gone", link("/nowhere")),
            ("/up", link("../../../../usr/bin/dash")),
        ]);
        assert_eq!(tree.resolve("/bin/sh").map(|(path, _)| path).as_deref(), Some("/usr/bin/dash"));
        assert_eq!(tree.resolve("/up").map(|(path, _)| path).as_deref(), Some("/usr/bin/dash"));
        assert!(tree.resolve("/loop").is_none() && tree.resolve("/gone").is_none());
    }

    #[test]
    fn a_whiteout_hides_what_is_below_and_not_what_is_beside_it() {
        let mut tree = tree(&[("/a/b", file()), ("/a/c/d", file()), ("/a.b", file()), ("/ab", file())]);
        let mut layer = Overlay::new(&tree);
        layer.insert("/a/new".to_owned(), file());
        assert!(layer.empty("/a") > 0 && layer.empty("/a") == 0 && layer.empty("/none") == 0);
        assert!(layer.get("/a/b").is_none() && layer.get("/a/new").is_some() && layer.get("/ab").is_some());
        let layer = layer.finish();
        tree.lay(layer);
        assert!(tree.get("/a/b").is_none() && tree.get("/a/c/d").is_none());
        assert!(tree.get("/a/new").is_some() && tree.get("/a.b").is_some() && tree.get("/ab").is_some());
    }

    #[test]
    fn a_tree_knows_how_much_is_kept() {
        let (none, one) = (Tree::default(), tree(&[("/a", file())]));
        assert_eq!((none.len(), none.is_empty(), one.len(), one.is_empty()), (0, true, 1, false));
    }
}
