//! What is kept of the daemon's log until it is proved: its beginning, where the first error stands, and its end. It
//! lies in a memory file that the look process reads when something fails, so that it is no memory of PID 1's.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// How much of each end is kept, in bytes.
const KEPT: u64 = 256 << 10;
/// Where the text begins: behind the count of bytes, so that both can be read at any time.
const TEXT: u64 = 8;

/// The two ends of a log.
#[derive(Debug)]
pub(super) struct Kept {
    file: File,
    count: u64,
}

impl Kept {
    /// An empty one.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { file: File::from(memfd_create(c"daemon.log", MFdFlags::MFD_CLOEXEC)?), count: 0 })
    }

    /// One that was handed over.
    pub(super) fn from_fd(fd: OwnedFd) -> Self {
        Self { file: File::from(fd), count: 0 }
    }

    /// The descriptor alone.
    pub(super) fn into_fd(self) -> OwnedFd {
        self.file.into()
    }

    /// Forgets what is kept: another daemon begins.
    pub(super) fn clear(&mut self) {
        self.count = 0;
        // Without it the old text stands where the new one is not yet, which the count tells.
        let _ = self.file.set_len(0);
        let _ = self.file.write_all_at(&0_u64.to_ne_bytes(), 0);
    }

    /// Takes the next piece. Memory that is not to be had costs the diagnosis, and nothing else.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (at, room) = place(self.count);
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            if self.file.write_all_at(now, TEXT + at).is_err() {
                return;
            }
            self.count += now.len() as u64;
            bytes = later;
        }
        let _ = self.file.write_all_at(&self.count.to_ne_bytes(), 0);
    }

    /// What is kept, with a line that says how much is missing between the two ends.
    pub(super) fn text(&self) -> io::Result<String> {
        let mut count = [0; 8];
        self.file.read_exact_at(&mut count, 0)?;
        let count = u64::from_ne_bytes(count);
        let read = |from: u64, length: u64| {
            let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            self.file.read_exact_at(&mut bytes, TEXT + from)?;
            Ok::<_, io::Error>(bytes)
        };
        let head = read(0, count.min(KEPT))?;
        let mut text = String::from_utf8_lossy(&head).into_owned();
        let tail = count.saturating_sub(KEPT);
        if tail > KEPT {
            text.push_str(&format!("\n… {} bytes left out …\n", tail - KEPT));
        }
        let mut bytes = Vec::new();
        if tail > KEPT {
            // The ring's oldest byte is the one that would be written over next.
            let oldest = tail % KEPT;
            bytes.extend(read(KEPT + oldest, KEPT - oldest)?);
            bytes.extend(read(KEPT, oldest)?);
        } else {
            bytes.extend(read(KEPT, tail)?);
        }
        text.push_str(&String::from_utf8_lossy(&bytes));
        Ok(text)
    }
}

/// Where the byte after `count` others goes, and how many have room behind it: first the beginning, then round and round
/// behind that.
fn place(count: u64) -> (u64, u64) {
    match count.checked_sub(KEPT) {
        None => (count, KEPT - count),
        Some(tail) => (KEPT + tail % KEPT, KEPT - tail % KEPT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_long_log_are_kept() {
        let mut kept = Kept::new().unwrap();
        kept.feed(b"the first line\n");
        assert_eq!(kept.text().unwrap(), "the first line\n");
        for round in 0..100_u32 {
            kept.feed(format!("line {round} {}\n", "x".repeat(30_000)).as_bytes());
        }
        kept.feed(b"the last line\n");
        let text = kept.text().unwrap();
        assert!(text.starts_with("the first line\nline 0 x"));
        assert!(text.ends_with("x\nthe last line\n"));
        let left_out = text.lines().find(|line| line.contains("bytes left out")).unwrap();
        let number: usize = left_out.split(' ').nth(1).unwrap().parse().unwrap();
        let lines: usize = (0..100).map(|round| format!("line {round} \n").len() + 30_000).sum();
        assert_eq!(number, 15 + lines + 14 - 2 * usize::try_from(KEPT).unwrap());
        let mut kept = Kept::from_fd(kept.into_fd());
        assert_eq!(kept.text().unwrap(), text, "it is read where it was handed over");
        kept.clear();
        assert_eq!(kept.text().unwrap(), "");
    }
}
