//! The known cause behind a daemon's log: the first error decides, not the last line.
//!
//! [`diagnose`] reads a whole log, [`Scanner`] takes one piece by piece, [`explain`] tells what a cause is. What is
//! known stands in `profiles/diagnoses/*.yaml`; nothing here knows a message of any engine by heart, but for the words
//! by which an error is told from other lines.

mod anchor;
mod errno;
mod filter;
mod looks;
mod own;
mod rank;
mod reader;
mod scan;
mod signature;

use std::io::Read;

pub use rank::{Candidates, Diagnosis, FirstError, Named, Seen};
pub use reader::{Entry, Level};
pub use scan::Scanner;
pub use signature::{Ambiguous, Cause, Library, LibraryError, SignatureText, Weight};

use crate::version::EngineVersion;

/// What is known beside the log.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The version of the engine that wrote the log; before what the log says of it.
    pub engine: Option<EngineVersion>,
    /// What is around the engine: ids of `profiles/outer`. What the log gives away is added.
    pub places: Vec<String>,
    /// Checks that failed in the container that the log is from, by id.
    pub failed: Vec<String>,
}

/// Why a log could not be diagnosed.
#[derive(Debug, thiserror::Error)]
pub enum DiagnosisError {
    /// The diagnoses that the binary carries are broken.
    #[error("the embedded diagnoses are broken: {0}")]
    Library(&'static LibraryError),
    /// The log could not be read.
    #[error("cannot read the log: {0}")]
    Read(#[from] std::io::Error),
}

/// Diagnoses a log of any size, in bounded memory.
///
/// # Errors
/// The log cannot be read.
pub fn diagnose(mut reader: impl Read, options: Options) -> Result<Diagnosis, DiagnosisError> {
    let mut scanner = Scanner::new(options)?;
    while scanner.read_from(&mut reader)? > 0 {}
    Ok(scanner.finish())
}

/// A cause that something beside the log names.
pub fn named(id: &str) -> Option<Named> {
    let cause = explain(id)?;
    Some(Named {
        id: cause.id.clone(),
        line: 0,
        weight: Weight::Cause,
        title: cause.title.clone(),
        why: cause.why.clone(),
        remedy: cause.remedy.clone(),
        check: cause.check.clone(),
        fix: cause.fix.clone(),
        sources: cause.sources.clone(),
    })
}

/// What a cause is, by its id.
pub fn explain(id: &str) -> Option<&'static Cause> {
    Library::embedded().ok()?.cause(id)
}
