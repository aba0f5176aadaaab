//! Images that are loaded at start, from files of `docker save`.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};

use super::api::{Api, ApiError};

/// How much of a file is sent at once.
const PIECE: usize = 256 << 10;
/// What the names of image files end with.
const ENDINGS: [&str; 4] = [".tar", ".tar.gz", ".tgz", ".tar.xz"];

/// The image files that are meant: files as they stand, and those in a directory, in the order of their names.
///
/// # Errors
/// A path that cannot be read.
pub fn files(given: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in given {
        let with_path = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if !path.metadata().map_err(with_path)?.is_dir() {
            all.push(path.clone());
            continue;
        }
        let mut found: Vec<PathBuf> = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(with_path)?;
        found.retain(|file| ENDINGS.iter().any(|ending| file.to_string_lossy().ends_with(ending)));
        found.sort();
        all.extend(found);
    }
    Ok(all)
}

/// Loads one file.
///
/// # Errors
/// The file cannot be read, or what the daemon said.
pub async fn load(api: &Api, path: &Path) -> Result<(), ApiError> {
    let verb = || format!("load {}", path.display());
    let own = |error: io::Error| ApiError { verb: verb(), reason: error.to_string(), status: None };
    let mut file = File::open(path).map_err(own)?;
    // Nothing else happens on this thread, so a blocking read holds up nobody.
    let pieces = stream::iter(std::iter::from_fn(move || {
        let mut piece = vec![0; PIECE];
        match file.read(&mut piece) {
            Ok(0) => None,
            Ok(count) => {
                piece.truncate(count);
                Some(Ok(Bytes::from(piece)))
            }
            Err(error) => Some(Err(error)),
        }
    }));
    let options = ImportImageOptionsBuilder::new().quiet(true).build();
    let answers: Vec<_> = api
        .docker
        .import_image(options, bollard::body_try_stream(pieces), None)
        .try_collect()
        .await
        .map_err(|error| ApiError::new(verb(), error))?;
    match answers.into_iter().find_map(|answer| answer.error_detail) {
        Some(error) => Err(ApiError {
            verb: verb(),
            reason: error.message.unwrap_or_default(),
            status: error.code.and_then(|code| u16::try_from(code).ok()),
        }),
        None => Ok(()),
    }
}
