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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn pieces_of_any_size_are_read_as_one_file() {
        let (send, receive) = channel();
        for piece in ["abc", "", "", "defgh", "i"] {
            send.send(Ok(Bytes::from(piece))).unwrap();
        }
        drop(send);
        let mut pieces = Pieces::new(receive);
        let mut read = |room: usize| {
            let mut buffer = vec![b'.'; room];
            let count = pieces.read(&mut buffer).unwrap();
            (count, String::from_utf8(buffer).unwrap())
        };
        let is = |count: usize, text: &str| (count, text.to_owned());
        assert_eq!([read(2), read(2)], [is(2, "ab"), is(1, "c.")]);
        assert_eq!([read(4), read(4), read(4)], [is(4, "defg"), is(1, "h..."), is(1, "i...")]);
        assert_eq!([read(4), read(4)], [is(0, "...."), is(0, "....")]);
    }

    #[test]
    fn what_could_not_be_sent_is_no_end() {
        let (send, receive) = channel();
        send.send(Ok(Bytes::from_static(b"a"))).unwrap();
        send.send(Err(io::Error::other("the engine is gone"))).unwrap();
        let mut pieces = Pieces::new(receive);
        assert_eq!(pieces.read(&mut [0; 4]).unwrap(), 1);
        assert_eq!(pieces.read(&mut [0; 4]).unwrap_err().to_string(), "the engine is gone");
    }
}
