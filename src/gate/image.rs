//! What is in an image, read from an archive or from an engine: never run, never written to a disk.
//!
//! Images are foreign bytes. Each layer is read once, as a stream; what is kept is bounded (see [`tree`]).

pub mod archive;
mod layers;
pub mod program;
mod stream;
pub mod tree;

use std::collections::BTreeMap;
use std::io;

pub use layers::{Compression, Limits};
pub use program::Program;
pub use stream::Pieces;
pub use tree::{Node, Tree};

use crate::configuration::{self, Configuration, ConfigurationError, Defaults, Environment, Sources};
use crate::engine::api::image::About;
use crate::facts::rootless::ROOTLESSKIT;
use crate::foreign::Foreign;
use crate::version::EngineVersion;

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The archive or a layer cannot be read.
    #[error("cannot read {}: {source}", .what.line())]
    Read {
        /// What was read.
        what: Foreign,
        /// What the system or the format's reader said.
        source: io::Error,
    },
    /// It is read, and is no image.
    #[error("{}", .0.text())]
    Odd(Foreign),
}

impl ImageError {
    pub(super) fn odd(what: impl Into<Foreign>) -> Self {
        Self::Odd(what.into())
    }

    fn read(what: impl Into<Foreign>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Read { what, source }
    }
}

/// An image.
#[derive(Debug, Clone)]
pub struct Image {
    /// What it was called.
    pub name: String,
    /// How it wants to be run.
    pub config: About,
    /// Its files.
    pub tree: Tree,
}

/// A version, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The version.
    pub version: EngineVersion,
    /// What says so.
    pub by: String,
}

impl Image {
    /// The words that its process starts with.
    pub fn words(&self) -> Vec<String> {
        [self.config.entrypoint.as_slice(), &self.config.command].concat()
    }

    /// A variable of its environment.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut values = self.config.environment.iter().rev().filter_map(|one| one.split_once('='));
        values.find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Its PATH; without one, Docker's default (moby oci/defaults.go: DefaultPathEnv).
    pub fn path(&self) -> &str {
        self.variable("PATH").unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    }

    /// Whether a user starts its daemon: RootlessKit is there for nothing else.
    pub fn is_rootless(&self) -> bool {
        let name = self.config.user.split(':').next().unwrap_or_default();
        !["", "root", "0"].contains(&name) && ROOTLESSKIT.iter().any(|program| self.find(program).is_some())
    }

    /// Finds a program as the image's own processes would.
    pub fn find(&self, name: &str) -> Option<(String, &Node)> {
        let candidates: Vec<String> = if name.starts_with('/') {
            vec![name.to_owned()]
        } else {
            self.path().split(':').map(|directory| format!("{directory}/{name}")).collect()
        };
        candidates.into_iter().find_map(|path| {
            let (real, node) = self.tree.resolve(&path)?;
            matches!(node, Node::File { executable: true, .. }).then_some((real, node))
        })
    }

    /// The version of a program: what it says itself, the package that it came in, a variable of the image.
    pub fn version_of(&self, name: &str) -> Option<Said> {
        let (path, node) = self.find(name)?;
        let own = match node {
            Node::File { program: Some(program), .. } => program.version.as_deref(),
            _ => None,
        };
        let parse = |text: &str| text.trim_start_matches('v').parse::<EngineVersion>().ok();
        if let Some(version) = own.and_then(parse) {
            return Some(Said { version, by: format!("{path}: build information") });
        }
        if let Some((version, by)) = crate::facts::packages::version_of(name, &|path| self.text(path)) {
            return Some(Said { version, by });
        }
        // The official image says it so (docker-library/docker, Dockerfile.template), of the daemon; before 1.12 that is
        // the one program that there is.
        let is_daemon = name == "dockerd" || name == "docker" && self.find("dockerd").is_none();
        let variable = self.variable("DOCKER_VERSION").filter(|_| is_daemon);
        variable.and_then(parse).map(|version| Said { version, by: "DOCKER_VERSION in the image".to_owned() })
    }

    /// The version of the engine; `None` if there is no engine, or it is not known which.
    pub fn engine(&self) -> Option<Said> {
        // Before 1.12 the engine is one program.
        self.version_of("dockerd").or_else(|| self.version_of("docker"))
    }

    /// The daemon's flags among its own words, as they would reach the daemon.
    pub fn daemon_flags(&self) -> Vec<String> {
        let words = self.words();
        let first = words.iter().position(|word| configuration::flag_of(word).is_some());
        first.map(|first| words[first..].to_vec()).unwrap_or_default()
    }

    /// What its daemon would be told by the image itself: by the flags among its own words, and by its daemon.json.
    ///
    /// # Errors
    /// As [`Configuration::read`]; a configuration file that the image's words name is not kept.
    pub fn configuration(&self, version: Option<&EngineVersion>) -> Result<Configuration, ConfigurationError> {
        Configuration::read(Sources {
            given: &self.daemon_flags(),
            added: &[],
            environment: &Environment::default(),
            defaults: &Defaults::default(),
            version,
            read: &|path| Ok(self.text(path)),
        })
    }

    /// A file of the few that are kept, as text.
    pub fn text(&self, path: &str) -> Option<String> {
        match self.tree.resolve(path)?.1 {
            Node::File { content: Some(content), .. } => Some(String::from_utf8_lossy(content).into_owned()),
            _ => None,
        }
    }
}

/// Reads `NAME:REST` lines by name, as in /etc/subuid.
pub(super) fn by_name(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(':')).collect()
}
