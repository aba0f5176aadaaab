//! Reading profile files: the embedded ones, and those of `--profile-dir` over them.

use std::fs;
use std::path::Path;

use super::document::{Document, Problem};
use super::schema::{Layer, Profile};
use crate::embedded;
use crate::state;
use crate::version::EngineVersion;

/// Why no profile could be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Profile files are broken: all problems found, not the first alone.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Broken(Vec<Problem>),
    /// The version is older than the oldest profile.
    #[error("no profile for Docker {version}: the oldest known is {oldest}")]
    TooOld {
        /// The version asked for.
        version: EngineVersion,
        /// The first version of the oldest file.
        oldest: EngineVersion,
    },
}

/// All profile files, oldest first.
#[derive(Debug, Clone)]
pub struct Profiles {
    layers: Vec<(String, Layer)>,
}

impl Profiles {
    /// Reads the embedded files, then lays the `*.yaml` files of `directory` over them: a file with the same `since`
    /// goes on top of ours.
    ///
    /// # Errors
    /// All problems of all files.
    pub fn load(directory: Option<&Path>) -> Result<Self, LoadError> {
        let mut files = embedded::files(embedded::DOCKER);
        let mut problems = Vec::new();
        if let Some(directory) = directory {
            match read_directory(directory) {
                Ok(own) => files.extend(own),
                Err(problem) => problems.push(problem),
            }
        }
        let mut layers = Vec::new();
        for (name, text) in files {
            match parse(&name, &text) {
                Ok(layer) => layers.push((name, layer)),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(LoadError::Broken(problems));
        }
        Self::from_layers(layers)
    }

    /// Lays files (name and content) over each other; of two with the same `since` the later one goes on top.
    pub(super) fn from_layers(mut layers: Vec<(String, Layer)>) -> Result<Self, LoadError> {
        // A stable sort: files of the user come after ours of the same version, and so win.
        layers.sort_by(|(_, a), (_, b)| a.since.cmp(&b.since));
        let profiles = Self { layers };
        // The oldest file has to set every key; then every later version has them all.
        profiles.resolve(&profiles.oldest())?;
        Ok(profiles)
    }

    /// The merged profile of a version. One that is newer than the newest file gets the newest; a pre-release gets
    /// that of its release, whose code it mostly is.
    ///
    /// # Errors
    /// `TooOld` when no file reaches back so far.
    pub fn resolve(&self, version: &EngineVersion) -> Result<Profile, LoadError> {
        let layers: Vec<(&str, &Layer)> =
            self.layers().filter(|(_, layer)| layer.since.release() <= version.release()).collect();
        if layers.is_empty() {
            return Err(LoadError::TooOld { version: version.clone(), oldest: self.oldest() });
        }
        let profile = Profile::merge(version.clone(), &layers).map_err(|missing| self.incomplete(&missing))?;
        Ok(Profile { stands_in: self.is_beyond(version), ..profile })
    }

    /// The files, oldest first: name and content.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &Layer)> {
        self.layers.iter().map(|(name, layer)| (name.as_str(), layer))
    }

    /// The first version of the newest file.
    pub fn newest(&self) -> EngineVersion {
        self.layers.last().map_or_else(any_version, |(_, layer)| layer.since.clone())
    }

    /// Whether the version is of a release line that no profile was made for yet, so that the newest stands in for it.
    pub fn is_beyond(&self, version: &EngineVersion) -> bool {
        let [newest_major, newest_minor, _] = self.newest().release();
        match version.release() {
            [major, minor, _] if major == newest_major => minor > newest_minor && minor != EngineVersion::NOT_GIVEN,
            [major, ..] => major > newest_major,
        }
    }

    fn oldest(&self) -> EngineVersion {
        self.layers.first().map_or_else(any_version, |(_, layer)| layer.since.clone())
    }

    fn incomplete(&self, missing: &[&str]) -> LoadError {
        let file = self.layers.first().map(|(name, _)| name.clone()).unwrap_or_default();
        let message = format!("the oldest profile must set every key; missing: {}", missing.join(", "));
        LoadError::Broken(vec![Problem { file, position: None, message }])
    }
}

/// The embedded list is never empty (a test reads it), so there is always a first and a last file.
fn any_version() -> EngineVersion {
    EngineVersion::development()
}

/// The `*.yaml` files of a directory, by name: path and text.
pub(super) fn read_directory(directory: &Path) -> Result<Vec<(String, String)>, Problem> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| unreadable(directory, &error))? {
        let path = entry.map_err(|error| unreadable(directory, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

/// One file: path and text.
pub(super) fn read_file(path: &Path) -> Result<(String, String), Problem> {
    let text = state::read_text(path, state::MAX_SETTINGS).map_err(|error| unreadable(path, &error))?;
    Ok((path.display().to_string(), text))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem { file: path.display().to_string(), position: None, message: format!("cannot be read: {error}") }
}

/// Reads one profile file.
pub(super) fn parse(file: &str, text: &str) -> Result<Layer, Vec<Problem>> {
    let document = Document::new(file, text);
    let layer: Layer = document.parse()?;
    if layer.since.is_plain_release() {
        return Ok(layer);
    }
    let message = format!("since: `{}` is not a release with all three numbers, such as 20.10.0", layer.since);
    Err(vec![document.problem("since", message)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(version: &str) -> Profile {
        Profiles::load(None).unwrap().resolve(&version.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_version_gets_the_newest_file_that_is_not_newer() {
        for (version, file) in [
            ("1.0.0", "1.0"),
            ("1.8.1", "1.8"),
            ("1.8.3", "1.8.2"),
            ("19.03.6", "19.03"),
            ("19.03.8", "19.03.7"),
            ("20.10.24+dfsg1", "20.10.10"),
            ("29.0.0-rc.1", "29.0"),
            ("29.7.2", "29.7"),
            ("dev", "29.7"),
        ] {
            assert_eq!(profile(version).profile, format!("profiles/docker/{file}.yaml"), "{version}");
        }
    }

    #[test]
    fn a_value_names_the_file_that_set_it() {
        let profile = profile("19.03.15");
        assert_eq!(profile.launch_command.value, ["dockerd"]);
        assert_eq!(profile.launch_command.from, "profiles/docker/1.12.yaml");
        assert!(profile.launch_command.source.contains("v1.12.0"));
    }

    #[test]
    fn every_key_can_be_written_as_json() {
        let entries = profile("1.0.0").entries();
        assert_eq!(entries.len(), Profile::KEYS.len());
        assert!(entries.iter().all(|entry| !entry.value.is_null()), "{entries:?}");
    }

    #[test]
    fn what_is_older_than_the_oldest_is_refused() {
        let error = Profiles::load(None).unwrap().resolve(&"0.9.1".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "no profile for Docker 0.9.1: the oldest known is 1.0.0");
    }

    #[test]
    fn a_release_line_without_a_profile_is_known_as_such() {
        let profiles = Profiles::load(None).unwrap();
        for (version, beyond) in
            [("29.7.2", false), ("29.7.9", false), ("29.8.0", true), ("30", true), ("dev", true), ("29", false)]
        {
            assert_eq!(profiles.is_beyond(&version.parse().unwrap()), beyond, "{version}");
        }
    }

    #[test]
    fn a_directory_is_read_by_the_names_of_its_files() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yaml", "c.txt", "yaml", "d.yaml~"] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        let texts: Vec<String> = read_directory(directory.path()).unwrap().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["a.yaml", "b.yml"]);
        assert!(read_directory(&directory.path().join("nowhere")).is_err());
    }

    #[test]
    fn a_broken_file_is_named_with_its_position() {
        let problems = parse("own.yaml", "since: 30.0\nsummary: x\n").unwrap_err();
        let message = "own.yaml:1:1: since: `30.0` is not a release with all three numbers, such as 20.10.0";
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [message]);
    }
}
