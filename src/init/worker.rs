//! Work that goes on beside PID 1's loop, in a thread that tells it of each step and is gone when it is done.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::{self, JoinHandle};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// The end that works: it sends messages.
pub struct Sender<T> {
    messages: mpsc::Sender<T>,
    bell: Arc<EventFd>,
}

impl<T> Sender<T> {
    /// Tells the loop something. A loop that has ended no longer listens, and that is fine.
    pub fn send(&self, message: T) {
        let _ = self.messages.send(message);
        let _ = self.bell.write(1);
    }
}

/// The end that waits: its descriptor is readable when there is a message.
pub struct Worker<T> {
    messages: Receiver<T>,
    bell: Arc<EventFd>,
    thread: JoinHandle<()>,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn start(work: impl FnOnce(&Sender<T>) + Send + 'static) -> io::Result<Self> {
        let bell = Arc::new(EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let (sender, messages) = mpsc::channel();
        let sender = Sender { messages: sender, bell: Arc::clone(&bell) };
        let thread = thread::Builder::new().name("worker".to_owned()).spawn(move || work(&sender))?;
        Ok(Self { messages, bell, thread })
    }

    /// Waits for the thread's end, after its last message.
    pub fn join(self) {
        // One that panicked has ended the process.
        let _ = self.thread.join();
    }

    /// The next message, if there is one.
    pub fn take(&self) -> Option<T> {
        match self.messages.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                // All are taken: the bell may rest until the next one.
                let _ = self.bell.read();
                self.messages.try_recv().ok()
            }
        }
    }
}

impl<T> AsFd for Worker<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
