//! The embedded test image: one layer with one file, this static binary.

use std::io;

use crate::system;

/// Where the binary lies in the image.
pub const PATH: &str = "/dindcheck";

/// The image's root file system as a tar.
///
/// # Errors
/// What reading the running binary gave.
pub fn tar() -> io::Result<Vec<u8>> {
    let binary = system::own_binary()?;
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(binary.len()).map_err(io::Error::other)?);
    header.set_mode(0o755);
    let mut builder = tar::Builder::new(Vec::with_capacity(binary.len() + 4096));
    builder.append_data(&mut header, PATH.trim_start_matches('/'), binary.as_slice())?;
    builder.into_inner()
}
