//! Images in files: what `docker save` writes of any era, and OCI layouts (image-spec, image-layout.md), as one tar.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest};
use serde::Deserialize;

use super::layers::{self, Compression, Limits};
use super::{Image, ImageError, Tree};
use crate::engine::api::image::About;
use crate::state;

/// Manifests and configurations larger than this are none.
const MAX_JSON: u64 = 8 << 20;
/// An index may name another one; more than this is a circle.
const MAX_DEPTH: usize = 4;
/// More files than this has no image's archive.
const MAX_ENTRIES: usize = 100_000;
/// Engines take no more layers (moby layer/layer_store.go: maxLayerDepth).
const MAX_LAYERS: usize = 125;

/// A line of docker-archive's manifest.json.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Where a file of the archive lies in it.
type Contents = HashMap<String, (u64, u64)>;

/// Reads the image of an archive. One of several is chosen by `architecture`, in Go's words.
///
/// # Errors
/// It cannot be read, is no image, or holds more than one.
pub fn read(path: &Path, architecture: &str, limits: Limits) -> Result<Image, ImageError> {
    let name = path.display().to_string();
    let mut file = state::open_regular(path).map_err(ImageError::read(&name))?;
    let mut first = [0; 4];
    let count = file.read(&mut first).map_err(ImageError::read(&name))?;
    if Compression::of(&first[..count]) != Compression::None {
        return Err(ImageError::odd(format!("{name} is compressed; unpack it first: gunzip, or unzstd")));
    }
    let mut archive = Archive { contents: index(&mut file).map_err(ImageError::read(&name))?, file, name, limits };
    let (config, layers, tag) = archive.find(architecture)?;
    let image = Image {
        name: tag.unwrap_or_else(|| archive.name.clone()),
        config: self::config(&config),
        tree: archive.unpack(&layers, config.rootfs().diff_ids())?,
    };
    Ok(image)
}

/// Where each file is. Contents are skipped, not read.
fn index(file: &mut File) -> io::Result<Contents> {
    file.seek(SeekFrom::Start(0))?;
    let mut contents = Contents::new();
    let mut links = Vec::new();
    let mut archive = tar::Archive::new(file);
    // Raw: the library would take names of any length into memory, and none that matters here is long.
    for entry in archive.entries_with_seek()?.raw(true) {
        let entry = entry?;
        let path = plain(&String::from_utf8_lossy(&entry.path_bytes()));
        if entry.header().entry_type().is_file() {
            contents.insert(path, (entry.raw_file_position(), entry.size()));
        } else if let Some(target) = entry.link_name_bytes() {
            // Up to Docker 24 a layer that is there twice is a link to the other one: ../ID/layer.tar.
            links.push((path, String::from_utf8_lossy(&target).trim_start_matches("../").to_owned()));
        }
        if contents.len() + links.len() > MAX_ENTRIES {
            return Err(io::Error::other("too many files for an image's archive"));
        }
    }
    for (path, target) in links {
        if let Some(place) = contents.get(&plain(&target)).copied() {
            contents.insert(path, place);
        }
    }
    Ok(contents)
}

fn plain(path: &str) -> String {
    path.trim_start_matches("./").trim_start_matches('/').to_owned()
}

struct Archive {
    file: File,
    name: String,
    contents: Contents,
    limits: Limits,
}

impl Archive {
    /// The configuration, the names of the layers, and the image's own name.
    fn find(&mut self, architecture: &str) -> Result<(ImageConfiguration, Vec<String>, Option<String>), ImageError> {
        if self.contents.contains_key("manifest.json") {
            let mut images: Vec<SavedImage> = self.json("manifest.json")?;
            let Some(image) = images.pop().filter(|_| images.is_empty()) else {
                let what = if images.is_empty() { "no image" } else { "several images; save one alone" };
                return Err(ImageError::odd(format!("{}: there is {what} in it", self.name)));
            };
            let tag = image.repo_tags.and_then(|tags| tags.into_iter().next());
            return Ok((self.json(&image.config)?, image.layers, tag));
        }
        if !self.contents.contains_key("index.json") {
            let reason = "neither a manifest.json (docker save) nor an index.json (OCI layout) is in it";
            return Err(ImageError::odd(format!("{}: {reason}", self.name)));
        }
        let mut index: ImageIndex = self.json("index.json")?;
        for _ in 0..MAX_DEPTH {
            let digest = self.choose(&index, architecture)?;
            let path = blob(&digest);
            // Not all writers say the media type of what an index names; what is in it tells.
            let value: serde_json::Value = self.json(&path)?;
            if value.get("manifests").is_some() {
                index = self.json(&path)?;
                continue;
            }
            let manifest: ImageManifest = self.json(&path)?;
            let layers = manifest.layers().iter().map(|layer| blob(layer.digest().as_ref())).collect();
            return Ok((self.json(&blob(manifest.config().digest().as_ref()))?, layers, None));
        }
        Err(ImageError::odd(format!("{}: an index names an index, again and again", self.name)))
    }

    /// The digest of the one image of an index, or of the one for this processor.
    fn choose(&self, index: &ImageIndex, architecture: &str) -> Result<String, ImageError> {
        let of = |descriptor: &oci_spec::image::Descriptor| {
            descriptor.platform().as_ref().map(|platform| platform.architecture().to_string())
        };
        let all: Vec<_> = index
            .manifests()
            .iter()
            // What buildkit attests about an image is no image.
            .filter(|descriptor| of(descriptor).as_deref() != Some("unknown"))
            .collect();
        let fitting: Vec<_> = all.iter().filter(|one| of(one).is_none_or(|own| own == architecture)).collect();
        match (all.as_slice(), fitting.as_slice()) {
            ([one], _) => Ok(one.digest().to_string()),
            (_, [one]) => Ok(one.digest().to_string()),
            ([], _) => Err(ImageError::odd(format!("{}: there is no image in it", self.name))),
            _ => Err(ImageError::odd(format!(
                "{}: there are {} images in it, {} of them for {architecture}; save one alone",
                self.name,
                all.len(),
                fitting.len()
            ))),
        }
    }

    fn open(&mut self, path: &str) -> Result<io::Take<&mut File>, ImageError> {
        let Some((at, size)) = self.contents.get(&plain(path)).copied() else {
            return Err(ImageError::odd(format!("{}: {path} is named, and is not in it", self.name)));
        };
        self.file.seek(SeekFrom::Start(at)).map_err(ImageError::read(&self.name))?;
        Ok((&mut self.file).take(size))
    }

    fn json<T: for<'de> Deserialize<'de>>(&mut self, path: &str) -> Result<T, ImageError> {
        let name = format!("{}: {path}", self.name);
        let file = self.open(path)?;
        if file.limit() > MAX_JSON {
            return Err(ImageError::odd(format!("{name} is too large")));
        }
        let mut text = Vec::new();
        let mut file = file;
        file.read_to_end(&mut text).map_err(ImageError::read(&name))?;
        self.compare(path, &layers::digest(&text))?;
        serde_json::from_slice(&text).map_err(|error| ImageError::odd(format!("{name}: {error}")))
    }

    /// Unpacks the layers; each has to be what the names and the configuration say it is, as for `docker load` (moby
    /// image/tarexport/load.go): a download that was cut off or changed is no image.
    fn unpack(&mut self, layers: &[String], diff_ids: &[String]) -> Result<Tree, ImageError> {
        let odd = |reason: String| Err(ImageError::odd(format!("{}: {reason}", self.name)));
        if layers.len() > MAX_LAYERS {
            return odd(format!("it has {} layers, and engines take {MAX_LAYERS}", layers.len()));
        }
        if layers.len() != diff_ids.len() {
            return odd(format!("it has {} layers, and its configuration {}", layers.len(), diff_ids.len()));
        }
        let mut tree = Tree::default();
        let mut left = self.limits;
        for (path, diff_id) in layers.iter().zip(diff_ids) {
            let what = format!("{}: layer {path}", self.name);
            let file = self.open(path)?;
            let digests = layers::apply(&mut tree, file, &mut left).map_err(ImageError::read(what))?;
            self.compare(path, &digests.packed)?;
            if digests.plain != *diff_id {
                let reason = format!("layer {path} is {}, and the configuration says {diff_id}", digests.plain);
                return Err(ImageError::odd(format!("{}: {reason}", self.name)));
            }
        }
        Ok(tree)
    }

    /// A blob is named by its digest. Only sha256 is known here, as to engines.
    fn compare(&self, path: &str, digest: &str) -> Result<(), ImageError> {
        let named = plain(path).strip_prefix("blobs/").map(|name| name.replacen('/', ":", 1));
        match named.filter(|named| named != digest) {
            Some(named) => Err(ImageError::odd(format!("{}: {named} is {digest}", self.name))),
            None => Ok(()),
        }
    }
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

fn config(own: &ImageConfiguration) -> About {
    let config = own.config().clone().unwrap_or_default();
    About {
        entrypoint: config.entrypoint().clone().unwrap_or_default(),
        command: config.cmd().clone().unwrap_or_default(),
        environment: config.env().clone().unwrap_or_default(),
        user: config.user().clone().unwrap_or_default(),
        volumes: config.volumes().clone().unwrap_or_default(),
        ports: config.exposed_ports().clone().unwrap_or_default(),
        architecture: own.architecture().to_string(),
        labels: config.labels().clone().unwrap_or_default(),
    }
}

/// Reads the files of a root file system that comes as one tar, as `docker export` gives it.
///
/// # Errors
/// It cannot be read.
pub fn flat(tar: impl Read, what: &str, mut limits: Limits) -> Result<Tree, ImageError> {
    let mut tree = Tree::default();
    layers::apply(&mut tree, tar, &mut limits).map_err(ImageError::read(what))?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::image::Node;

    #[test]
    fn one_image_of_an_index_is_chosen_by_its_processor() {
        let archive = Archive {
            file: tempfile::tempfile().unwrap(),
            name: "x".to_owned(),
            contents: Contents::new(),
            limits: Limits::default(),
        };
        let digest = |number: usize| format!("sha256:{number:064x}");
        let choose = |images: &[Option<&str>], wanted: &str| {
            let manifest = |(number, architecture): (usize, &Option<&str>)| {
                let platform = architecture.map(|own| serde_json::json!({ "architecture": own, "os": "linux" }));
                let kind = "application/vnd.oci.image.manifest.v1+json";
                let mut own = serde_json::json!({ "mediaType": kind, "digest": digest(number), "size": 2 });
                own.as_object_mut().unwrap().extend(platform.map(|platform| ("platform".to_owned(), platform)));
                own
            };
            let manifests: Vec<_> = images.iter().enumerate().map(manifest).collect();
            let index = serde_json::from_value(serde_json::json!({ "schemaVersion": 2, "manifests": manifests }));
            archive.choose(&index.unwrap(), wanted).map_err(|error| error.to_string())
        };
        let (amd64, arm64) = (Some("amd64"), Some("arm64"));
        assert_eq!(choose(&[amd64], "arm64"), Ok(digest(0)), "there is no other");
        assert_eq!(choose(&[Some("unknown"), amd64], "arm64"), Ok(digest(1)), "nor is what attests one");
        assert_eq!(choose(&[amd64, arm64], "arm64"), Ok(digest(1)));
        assert_eq!(choose(&[None, arm64], "amd64"), Ok(digest(0)));
        assert_eq!(choose(&[], "amd64"), Err("x: there is no image in it".to_owned()));
        let several = |of: &str| Err(format!("x: there are 2 images in it, {of}; save one alone"));
        assert_eq!(choose(&[amd64, arm64], "riscv64"), several("0 of them for riscv64"));
        assert_eq!(choose(&[None, amd64], "amd64"), several("2 of them for amd64"));
    }

    #[test]
    fn a_root_file_system_is_read_from_one_tar() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        builder.append_data(&mut header, "etc/docker/daemon.json", b"{  }".as_slice()).unwrap();
        let tar = builder.into_inner().unwrap();
        let tree = flat(tar.as_slice(), "x", Limits::default()).unwrap();
        let content = Some(b"{  }".to_vec());
        let file = Node::File { executable: false, program: None, content };
        assert_eq!(tree.below("").collect::<Vec<_>>(), [("/etc/docker/daemon.json", &file)]);
        let error = flat(&tar[..600], "the container x", Limits::default()).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the container x: "), "{error}");
    }
}
