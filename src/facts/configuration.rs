//! What the daemon is told, with the places and the environment of this machine.

use super::places::Places;
use super::{Fact, FactError, Root};
use crate::configuration::{ConfigurationError, Defaults, Environment, Sources};
use crate::version::EngineVersion;

pub use crate::configuration::Configuration;

impl From<ConfigurationError> for FactError {
    fn from(error: ConfigurationError) -> Self {
        Self { verb: error.verb.to_owned(), path: error.path, reason: error.reason }
    }
}

/// Reads the user's words, those of mends, the configuration file and the environment. A captured machine has no
/// environment.
///
/// # Errors
/// A configuration file that cannot be read, is no JSON, or is asked for and not there.
pub fn read(
    root: &Root,
    places: &Places,
    given: &[String],
    added: &[String],
    version: Option<&EngineVersion>,
) -> Fact<Configuration> {
    let environment = if root.is_live() { Environment::read() } else { Environment::default() };
    let file = |path: &str| {
        if !root.exists(path) {
            return Ok(None);
        }
        let unreadable = |error: FactError| ConfigurationError { verb: "read", path: error.path, reason: error.reason };
        root.read(path).map(Some).map_err(unreadable)
    };
    let defaults = Defaults::placed(|path| places.translate(path));
    let sources = Sources { given, added, environment: &environment, defaults: &defaults, version, read: &file };
    Ok(Configuration::read(sources)?)
}
