//! What is kept of the daemon's log: its beginning, where the first error stands, and its end.

/// How much of each end is kept, in bytes.
const KEPT: usize = 256 << 10;

/// The two ends of a log, in bounded memory.
#[derive(Debug, Default)]
pub struct Kept {
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Bytes between the two that are gone.
    dropped: usize,
    /// Whether nothing is kept any more.
    released: bool,
}

impl Kept {
    /// Takes the next piece.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.released {
            return;
        }
        let room = KEPT.saturating_sub(self.head.len()).min(bytes.len());
        let (head, tail) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(tail);
        // Cut seldom, so that a byte is moved once and not once a line.
        if self.tail.len() > 2 * KEPT {
            let cut = self.tail.len() - KEPT;
            self.tail.drain(..cut);
            self.dropped += cut;
        }
    }

    /// Keeps nothing from here on: the daemon is proved, and its log is passed on anyway.
    pub fn release(&mut self) {
        *self = Self { released: true, ..Self::default() };
    }

    /// What is kept, with a line that says how much is missing between the two ends.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.dropped > 0 {
            text.push_str(&format!("\n… {} bytes left out …\n", self.dropped));
        }
        text.push_str(&String::from_utf8_lossy(&self.tail));
        text
    }
}

/// Why a daemon gave up, if it is something that passes by itself: its containerd was slow to start, on a busy machine.
/// It gives it 15 s (moby, libcontainerd/supervisor: `startupTimeout`).
pub fn passing_cause(log: &str) -> Option<&'static str> {
    const SLOW_CONTAINERD: [&str; 2] =
        ["timeout waiting for containerd to start", "containerd.sock\": context deadline exceeded"];
    // Where it did not start at all, waiting longer is of no use.
    const NO_CONTAINERD: &str = "executable file not found";
    (SLOW_CONTAINERD.iter().any(|words| log.contains(words)) && !log.contains(NO_CONTAINERD))
        .then_some("its containerd was slow to start")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_long_log_are_kept() {
        let mut kept = Kept::default();
        kept.feed(b"the first line\n");
        for _ in 0..100 {
            kept.feed(&vec![b'x'; KEPT / 10]);
        }
        kept.feed(b"\nthe last line\n");
        let text = kept.text();
        assert!(text.starts_with("the first line\n"));
        assert!(text.ends_with("\nthe last line\n"));
        assert!(text.contains("bytes left out"));
        assert!(text.len() < 4 * KEPT);
    }
}
