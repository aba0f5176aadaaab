//! Work beside other work, where threads can be made: a filter that forbids clone3 must not keep us from saying so.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::fact::{Fact, FactError};

/// Work that is under way, or was done at once.
pub enum Beside<T> {
    /// In a thread.
    UnderWay(JoinHandle<Fact<T>>),
    /// Here, since no thread could be made.
    Done(Fact<T>),
}

/// Starts work.
pub fn start<T: Send + 'static>(work: impl FnOnce() -> Fact<T> + Send + 'static) -> Beside<T> {
    let here = Arc::new(Mutex::new(Some(work)));
    let there = Arc::clone(&here);
    let begun = thread::Builder::new().spawn(move || {
        let work = there.lock().ok().and_then(|mut work| work.take());
        work.map_or_else(|| Err(broke()), |work| work())
    });
    match begun {
        Ok(thread) => Beside::UnderWay(thread),
        Err(_) => {
            let work = here.lock().ok().and_then(|mut work| work.take());
            Beside::Done(work.map_or_else(|| Err(broke()), |work| work()))
        }
    }
}

impl<T> Beside<T> {
    /// Waits for what came of it.
    ///
    /// # Errors
    /// What the work gave, or that it broke.
    pub fn finish(self) -> Fact<T> {
        match self {
            Self::UnderWay(thread) => thread.join().unwrap_or_else(|_| Err(broke())),
            Self::Done(result) => result,
        }
    }
}

fn broke() -> FactError {
    FactError::new("try", "a probe", "it broke")
}
