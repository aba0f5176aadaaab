//! Work in a thread of its own, or at once where no thread can be made: a filter that forbids clone3 has to be reported, too.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::fact::{Fact, FactError};

/// Work that is under way, or was done at once.
pub enum Background<T> {
    /// In a thread.
    UnderWay(JoinHandle<Fact<T>>),
    /// Here, since no thread could be made.
    Done(Fact<T>),
}

/// Starts work.
pub fn start<T: Send + 'static>(work: impl FnOnce() -> Fact<T> + Send + 'static) -> Background<T> {
    let here = Arc::new(Mutex::new(Some(work)));
    let there = Arc::clone(&here);
    let begun = thread::Builder::new().spawn(move || {
        let work = there.lock().ok().and_then(|mut work| work.take());
        work.map_or_else(|| Err(broke()), |work| work())
    });
    match begun {
        Ok(thread) => Background::UnderWay(thread),
        Err(_) => {
            let work = here.lock().ok().and_then(|mut work| work.take());
            Background::Done(work.map_or_else(|| Err(broke()), |work| work()))
        }
    }
}

impl<T> Background<T> {
    /// Waits for what came of it.
    ///
    /// # Errors
    /// The work's own error, or that its thread panicked.
    pub fn finish(self) -> Fact<T> {
        match self {
            Self::UnderWay(thread) => thread.join().unwrap_or_else(|_| Err(broke())),
            Self::Done(result) => result,
        }
    }
}

fn broke() -> FactError {
    FactError::new("try", "a probe", "its thread panicked")
}
