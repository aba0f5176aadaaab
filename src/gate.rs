//! The gate: whether an image with an engine in it is fit to ship, told from the host.
//!
//! [`image`] reads what is in the image, [`check`] judges that by the engine's profile; neither needs a daemon. [`matrix`]
//! says in which ways it is run, [`run`] does that through the outer engine's API. [`report`] holds what was found,
//! [`baseline`] what of it was known before.

pub mod baseline;
mod cell;
pub mod check;
pub mod image;
mod inside;
pub mod matrix;
pub mod report;
pub mod run;
