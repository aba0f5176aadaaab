//! An image that the user names: pulled, or taken out of a tar; run; and removed again if it was not there before.

use std::fs::File;
use std::io;
use std::path::Path;

use super::Options;
use super::nest::Nest;
use super::scenario::{Refused, blocking};
use crate::engine::api::container::Spec;
use crate::finding::Verdict;

/// How much of its output is worth a line.
const SHOWN: usize = 400;

/// Runs the image, if one was named.
pub(super) async fn prove(nest: &Nest<'_>, options: &Options, tell: &dyn Fn(&str)) {
    if let Some(image) = &options.image {
        nest.ledger.prove("test-image", run(nest, image, options.command.clone(), tell)).await;
    }
}

async fn run(
    nest: &Nest<'_>,
    image: &str,
    command: Option<Vec<String>>,
    tell: &dyn Fn(&str),
) -> Result<(Verdict, ()), Refused> {
    let (reference, ours) = bring(nest, image, tell).await?;
    let spec =
        Spec { name: nest.name("given"), image: reference.clone(), command, labels: nest.labels(), ..Spec::default() };
    let ran = nest.run_any(&spec).await;
    if ours {
        nest.api.remove_image(&reference).await?;
    }
    let (_, ran, _) = ran?;
    let verdict = if ran.status == 0 {
        Verdict::pass(format!("{image} ran"))
    } else {
        blocking(format!("{image} ran, and ended with exit status {}", ran.status))
    };
    let verdict = verdict
        .saw_wanted("exit status", ran.status.to_string(), "0")
        .saw("standard output", end(&ran.stdout.text()))
        .saw("standard error", end(&ran.stderr.text()));
    Ok((verdict, ()))
}

/// Brings the image into the engine; gives its name, and whether it is ours to remove.
async fn bring(nest: &Nest<'_>, image: &str, tell: &dyn Fn(&str)) -> Result<(String, bool), Refused> {
    if Path::new(image).is_file() {
        tell(&format!("loading {image}"));
        let saved = is_saved(image).map_err(|error| blocking(format!("cannot read {image}: {error}")))?;
        let file = File::open(image).map_err(|error| blocking(format!("cannot read {image}: {error}")))?;
        if saved {
            // Engines up to 1.11 say nothing, however well it went.
            let name = nest.api.load(file).await?;
            return Ok((
                name.ok_or_else(|| blocking(format!("the daemon did not report what it made of {image}")))?,
                true,
            ));
        }
        let name = nest.name("given");
        nest.api.import_file(&name, file).await?;
        return Ok((name, true));
    }
    if nest.api.has_image(image).await? {
        return Ok((image.to_owned(), false));
    }
    nest.api.pull(image, tell).await?;
    Ok((image.to_owned(), true))
}

/// Whether a tar is what `docker save` writes, of any era, and not a root file system. One that is compressed can be
/// only that, or has to be unpacked first.
fn is_saved(path: &str) -> io::Result<bool> {
    let mut magic = [0; 2];
    io::Read::read_exact(&mut File::open(path)?, &mut magic)?;
    if magic == [0x1f, 0x8b] {
        return Ok(true);
    }
    let mut archive = tar::Archive::new(File::open(path)?);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let name = entry.path()?;
        if ["manifest.json", "repositories", "oci-layout"].iter().any(|mark| name.as_os_str() == *mark) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn end(text: &str) -> String {
    let text = text.trim();
    let from = text.char_indices().rev().nth(SHOWN).map_or(0, |(index, _)| index);
    text[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verification::image;

    #[test]
    fn saved_images_are_told_from_root_file_systems() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tar").display().to_string();
        for (name, saved) in [("manifest.json", true), ("repositories", true), ("etc/manifest.json", false)] {
            std::fs::write(&path, image::files(&[("a", b"1"), (name, b"2")]).unwrap()).unwrap();
            assert_eq!(is_saved(&path).unwrap(), saved, "{name}");
        }
    }

    #[test]
    fn the_end_of_a_long_text_is_shown() {
        assert_eq!(end(" short\n"), "short");
        assert_eq!(end(&"ä".repeat(1000)).chars().count(), SHOWN + 1);
    }
}
