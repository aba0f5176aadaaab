//! Images that are loaded at start, from files of `docker save`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::api::{Api, ApiError};

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
/// The file cannot be read, or the daemon's error.
pub async fn load(api: &Api, path: &Path) -> Result<(), ApiError> {
    let verb = || format!("load {}", path.display());
    let file =
        File::open(path).map_err(|error| ApiError { verb: verb(), reason: error.to_string().into(), status: None })?;
    api.load(file).await.map(drop).map_err(|error| ApiError { verb: verb(), ..error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_meant_as_they_stand_and_directories_for_the_images_in_them() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("images");
        fs::create_dir(&below).unwrap();
        let [odd, first, second, third] =
            ["odd.bin", "images/a.tar.xz", "images/b.tgz", "images/c.tar"].map(|name| directory.path().join(name));
        for path in [&odd, &second, &first, &third, &below.join("README"), &below.join("d.zip")] {
            fs::write(path, "").unwrap();
        }
        assert_eq!(files(&[odd.clone(), below]).unwrap(), [odd, first, second, third]);
        let gone = directory.path().join("gone");
        let error = files(std::slice::from_ref(&gone)).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{}: ", gone.display())), "{error}");
    }
}
