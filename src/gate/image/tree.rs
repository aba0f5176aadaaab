//! The files of an image that matter: links, programs, and the content of a few.

use std::collections::BTreeMap;

use super::Program;

/// How many links are followed for one path, as the kernel does it (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Whether somebody may run it.
        executable: bool,
        /// What kind of program it is, if it is one.
        program: Option<Program>,
        /// Its content, if it is one of those that are kept.
        content: Option<Vec<u8>>,
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
            Self::Special => 0,
        }
    }
}

/// The files, by their absolute paths.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// With the number of the layer that brought it.
    nodes: BTreeMap<String, (usize, Node)>,
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

    pub(super) fn insert(&mut self, layer: usize, path: String, node: Node) {
        self.nodes.insert(path, (layer, node));
    }

    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path).map(|(_, node)| node)
    }

    /// Removes a file, or a directory with all that lower layers have in it.
    pub(super) fn remove(&mut self, layer: usize, path: &str) {
        self.nodes.remove(path);
        self.empty(layer, path);
    }

    /// Removes what lower layers have in a directory.
    pub(super) fn empty(&mut self, layer: usize, path: &str) {
        // What lies in a directory is next to each other: `0` is the character behind `/`.
        let inside = (format!("{path}/"), format!("{path}0"));
        let old: Vec<String> = self
            .nodes
            .range(inside.0..inside.1)
            .filter(|(_, (from, _))| *from < layer)
            .map(|(path, _)| path.clone())
            .collect();
        for path in old {
            self.nodes.remove(&path);
        }
    }

    /// The files directly or indirectly in a directory.
    pub fn below(&self, path: &str) -> impl Iterator<Item = (&str, &Node)> {
        let inside = (format!("{path}/"), format!("{path}0"));
        self.nodes.range(inside.0..inside.1).map(|(path, (_, node))| (path.as_str(), node))
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
            tree.insert(0, (*path).to_owned(), node.clone());
        }
        tree
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
        tree.insert(1, "/a/new".to_owned(), file());
        tree.empty(1, "/a");
        assert!(tree.get("/a/b").is_none() && tree.get("/a/c/d").is_none());
        assert!(tree.get("/a/new").is_some() && tree.get("/a.b").is_some() && tree.get("/ab").is_some());
    }
}
