//! What carries out steps: the kernel, or a recorder that can fail on purpose.

use super::step::Step;

/// Why a step could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {verb} {path}: {reason}")]
pub struct StepError {
    /// What could not be done.
    pub verb: &'static str,
    /// On what.
    pub path: String,
    /// The kernel's error.
    pub reason: String,
}

impl StepError {
    pub(super) fn new(verb: &'static str, path: &str, error: &dyn std::fmt::Display) -> Self {
        Self { verb, path: path.to_owned(), reason: error.to_string() }
    }
}

/// What is found of what a step has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is as the step left it, or cannot be compared.
    AsLeft,
    /// It is not there, and why that is known: the step was never done, or has been taken back.
    Gone(String),
    /// It has been replaced since, and by what.
    Replaced(String),
}

/// What carries out steps: the kernel, or in tests a recorder that can fail on purpose.
pub trait System {
    /// Carries out one step. A step is done as a whole or not at all.
    ///
    /// # Errors
    /// What could not be done, on which path, and the kernel's error.
    fn perform(&mut self, step: &Step) -> Result<(), StepError>;

    /// Takes away what a step that was killed in its midst has left, of what it needs for a moment.
    fn sweep(&mut self) {}

    /// What is found of what a step has made, before it is taken back.
    ///
    /// # Errors
    /// What looking gave: then nothing is known of it.
    fn found(&mut self, _step: &Step) -> Result<Found, StepError> {
        Ok(Found::AsLeft)
    }

    /// Whether a file that [`Step::MakeImage`] has made holds what someone has stored since.
    fn holds_data(&mut self, _image: &str) -> bool {
        false
    }
}
