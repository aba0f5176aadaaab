//! The embedded test image: this static binary, and a few files for a storage driver to carry.

use std::fs;
use std::io;

use super::inside;

/// The running binary, also when its file is gone.
const OWN_BINARY: &str = "/proc/self/exe";
/// Where the binary lies in the image.
pub const PATH: &str = "/dindcheck";

/// The image's root file system as a tar.
///
/// # Errors
/// What reading the running binary gave.
pub fn tar() -> io::Result<Vec<u8>> {
    let binary = fs::read(OWN_BINARY)?;
    let mut builder = tar::Builder::new(Vec::with_capacity(binary.len() + (16 << 10)));
    append(&mut builder, PATH, 0o755, &binary)?;
    for (path, content) in inside::seed() {
        append(&mut builder, path, 0o644, content.as_bytes())?;
    }
    builder.into_inner()
}

/// A tar with some files.
///
/// # Errors
/// What writing to memory gave.
pub(super) fn files(files: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        append(&mut builder, path, 0o644, content)?;
    }
    builder.into_inner()
}

/// A tar with this very binary under a name, for a container that is not ours.
///
/// # Errors
/// What reading the running binary gave.
pub(crate) fn own_binary_as(name: &str) -> io::Result<Vec<u8>> {
    let binary = fs::read(OWN_BINARY)?;
    let mut builder = tar::Builder::new(Vec::with_capacity(binary.len() + (16 << 10)));
    append(&mut builder, name, 0o555, &binary)?;
    builder.into_inner()
}

fn append(builder: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(content.len()).map_err(io::Error::other)?);
    header.set_mode(mode);
    builder.append_data(&mut header, path.trim_start_matches('/'), content)
}

/// The content of the first file in a tar.
pub(super) fn first_file(tar: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            io::Read::read_to_end(&mut entry, &mut content)?;
            return Ok(content);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "there is no file in the archive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_in_and_comes_out() {
        assert_eq!(first_file(&files(&[("/a/b", b"content")]).unwrap()).unwrap(), b"content");
        assert!(first_file(b"no tar").is_err());
    }
}
