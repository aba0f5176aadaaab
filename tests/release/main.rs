//! What `scripts/release` has made in dist/: each artefact is installed in a fresh root file system and runs there.
//!
//! `./scripts/release && ./scripts/test release::` runs all; those of the other architecture, and the second build, which
//! take minutes, are ignored otherwise.

#[path = "../common/binary.rs"]
mod binary;

/// The name by which `scripts/test` selects them.
#[path = "."]
mod release {
    mod dist;

    mod aarch64;
    mod integrations;
    mod metadata;
    mod oci;
    mod packages;
    mod reproducible;
}
