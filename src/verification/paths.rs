//! Directories of ours, such as a job's: whether a container that is told to mount one gets the same one. Where the daemon
//! runs in another container, it looks for them in its own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::STATUS;
use super::nest::Nest;
use super::scenario::{Refused, blocking};
use crate::engine::api::container::Spec;
use crate::finding::{Evidence, Verdict};
use crate::version::ApiVersion;

/// Mounts that do not make the directory where it is missing came with API 1.25 (moby api/types/mount).
const MOUNTS_SINCE: ApiVersion = ApiVersion::new(1, 25);
/// Where the container has it.
const TARGET: &str = "/path";

/// A file of ours in a directory; gone when it is dropped.
struct Marker(PathBuf);

impl Marker {
    fn new(directory: &Path, name: &str) -> io::Result<Self> {
        let path = directory.join(name);
        // Containers of a remapped daemon read it as someone else.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
        let marker = Self(path);
        file.write_all(name.as_bytes())?;
        Ok(marker)
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Looks at each, if there is one.
pub(super) async fn prove(nest: &Nest<'_>, paths: &[String]) {
    if !paths.is_empty() {
        nest.ledger.prove("paths", all(nest, paths)).await;
    }
}

async fn all(nest: &Nest<'_>, paths: &[String]) -> Result<(Verdict, ()), Refused> {
    nest.has(MOUNTS_SINCE, "mounts of directories that have to be there")?;
    let mut evidence = Vec::new();
    for (number, path) in paths.iter().enumerate() {
        let value = seen(nest, path, number).await.unwrap_or_else(|reason| reason);
        evidence.push(Evidence { location: path.clone(), value, wanted: Some(SAME.to_owned()) });
    }
    let wrong: Vec<&Evidence> = evidence.iter().filter(|one| one.value != SAME).collect();
    let verdict = match wrong.first() {
        None => Verdict::pass(format!("{}: {SAME}", paths.join(", "))),
        Some(first) => blocking(format!("{}: {}", first.location, first.value))
            .because("The daemon mounts the directory that it sees itself at that path, not that of its client.")
            .remedy(format!(
                "give the daemon's container the same volume at the same path: docker run -v NAME:{path} for both; in \
                 a pod, one emptyDir with mountPath: {path} in both containers",
                path = first.location
            )),
    };
    Ok((verdict.evidence(evidence), ()))
}

const SAME: &str = "a container sees the same directory";

/// What a container sees of a directory.
async fn seen(nest: &Nest<'_>, path: &str, number: usize) -> Result<String, String> {
    let name = format!(".{}", nest.name(&format!("path-{number}")));
    let marker = Marker::new(Path::new(path), &name).map_err(|error| format!("cannot write to it: {error}"))?;
    let spec = Spec {
        mounts: vec![(path.to_owned(), TARGET.to_owned())],
        network: Some(super::nest::NO_NETWORK.to_owned()),
        ..nest.spec(&format!("path-{number}"), &["cat", &format!("{TARGET}/{name}")])
    };
    let ran = nest.run_any(&spec).await;
    drop(marker);
    match ran {
        Ok((_, run, _)) if run.status == i64::from(STATUS) && run.stdout.text() == name => Ok(SAME.to_owned()),
        Ok((_, run, _)) if run.stderr.text().contains("No such file") => {
            Err("a container sees another directory, which the daemon has at that path".to_owned())
        }
        Ok((_, run, _)) => Err(format!("a container cannot read it: {}", run.stderr.text())),
        Err(Refused(verdict)) if verdict.summary.contains("does not exist") => {
            Err("a container cannot have it: it is not there where the daemon runs".to_owned())
        }
        Err(Refused(verdict)) => Err(verdict.summary),
    }
}
