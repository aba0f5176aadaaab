//! The files of `profiles/` and the manual, packed into this binary by build.rs: a fifth of their size.

use std::io::{self, Read as _};

use flate2::read::GzDecoder;

/// The profiles of Docker versions.
pub(crate) const DOCKER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/docker.tar.gz"));
/// What is known of engines around.
pub(crate) const OUTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/outer.tar.gz"));
/// Signatures of daemon logs.
pub(crate) const DIAGNOSES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/diagnoses.tar.gz"));

/// The pages of the manual as HTML, by topic (build.rs, pages/html.rs).
pub(crate) const MANUAL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/manual.tar.gz"));

/// The files of one of them, in the order of their names: path and text.
pub(crate) fn files(packed: &[u8]) -> Vec<(String, String)> {
    unpack(packed).expect("build.rs has packed it whole, and a test unpacks it")
}

fn unpack(packed: &[u8]) -> io::Result<Vec<(String, String)>> {
    let mut archive = tar::Archive::new(GzDecoder::new(packed));
    let mut files = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        files.push((name, text));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_out() {
        for (packed, directory) in [(DOCKER, "docker"), (OUTER, "outer"), (DIAGNOSES, "diagnoses")] {
            let files = unpack(packed).unwrap();
            let there = std::fs::read_dir(format!("profiles/{directory}")).unwrap();
            let is_yaml = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".yaml");
            assert_eq!(files.len(), there.filter(|one| is_yaml(&one.as_ref().unwrap().file_name())).count());
            assert!(files.is_sorted());
            for (name, text) in &files {
                assert_eq!(*text, std::fs::read_to_string(name).unwrap());
            }
        }
    }
}
