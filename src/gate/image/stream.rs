//! Bytes that come piece by piece from somewhere else, read as a file.

use std::io::{self, Read};
use std::sync::mpsc::Receiver;

use bytes::Bytes;

/// The reading end of a channel.
#[derive(Debug)]
pub struct Pieces {
    from: Receiver<io::Result<Bytes>>,
    now: Bytes,
}

impl Pieces {
    /// Reads what is sent, to the end of the sender.
    pub fn new(from: Receiver<io::Result<Bytes>>) -> Self {
        Self { from, now: Bytes::new() }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.from.recv() {
                Ok(piece) => self.now = piece?,
                Err(_) => return Ok(0),
            }
        }
        let count = self.now.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.now.split_to(count));
        Ok(count)
    }
}
