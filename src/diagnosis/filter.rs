//! Finds any of some hundred texts in a buffer, at a fraction of a nanosecond per byte.
//!
//! Wu and Manber's algorithm ("A fast algorithm for multi-pattern searching", TR-94-17, University of Arizona, 1994)
//! with blocks of four bytes: a table tells for the block under the window's end how far the window may move before
//! any of the texts could fit. Log lines consist mostly of blocks that occur in no text, so most bytes are never read.
//! Aho-Corasick, which grep and ripgrep fall back to for so many texts, looks at each byte.

use std::ops::Range;

use memchr::memmem;

/// Bytes per block.
const BLOCK: usize = 4;
/// The table's size as a power of two. It has to stay in the first-level cache.
const BITS: u32 = 15;
const SLOTS: usize = 1 << BITS;
/// Longer windows move further, and longer texts are rare.
const LONGEST_WINDOW: usize = 16;

/// A set of texts to look for.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    window: usize,
    shifts: Box<[u8; SLOTS]>,
    /// Where the candidates for a block start in `candidates`, by the block's hash; one more at the end.
    buckets: Vec<u32>,
    /// The number of a text, and where in it the window starts.
    candidates: Vec<(u32, u32)>,
    texts: Vec<Vec<u8>>,
}

impl Filter {
    /// Makes the tables. Texts shorter than a block are never found.
    pub(super) fn new(texts: Vec<Vec<u8>>) -> Self {
        let window = texts.iter().map(Vec::len).filter(|len| *len >= BLOCK).min().unwrap_or(BLOCK).min(LONGEST_WINDOW);
        let free = window - BLOCK + 1;
        let mut shifts = Box::new([u8::try_from(free).unwrap_or(u8::MAX); SLOTS]);
        let mut chosen = Vec::new();
        for (number, text) in texts.iter().enumerate().filter(|(_, text)| text.len() >= window) {
            let start = rarest_window(text, window);
            let part = &text[start..start + window];
            for at in 0..free {
                let slot = hash(part, at);
                let shift = u8::try_from(free - 1 - at).unwrap_or(u8::MAX);
                shifts[slot] = shifts[slot].min(shift);
            }
            chosen.push((hash(part, free - 1), (number as u32, start as u32)));
        }
        chosen.sort_unstable();
        let mut buckets = vec![0_u32; SLOTS + 1];
        for (slot, _) in &chosen {
            buckets[slot + 1] += 1;
        }
        for slot in 0..SLOTS {
            buckets[slot + 1] += buckets[slot];
        }
        Self { window, shifts, buckets, candidates: chosen.into_iter().map(|(_, c)| c).collect(), texts }
    }

    /// The first text that occurs in `bytes[range]`, by the end of its window: its number and where it starts.
    pub(super) fn find(&self, bytes: &[u8], range: Range<usize>) -> Option<(usize, usize)> {
        let haystack = bytes.get(range.clone())?;
        let mut end = self.window;
        while end <= haystack.len() {
            let slot = hash(haystack, end - BLOCK);
            let shift = self.shifts[slot];
            if shift > 0 {
                end += usize::from(shift);
                continue;
            }
            let bucket = self.buckets[slot] as usize..self.buckets[slot + 1] as usize;
            for (number, offset) in &self.candidates[bucket] {
                let text = &self.texts[*number as usize];
                // The part before the window may reach back before the range, never before the buffer.
                let start = (range.start + end - self.window).checked_sub(*offset as usize);
                if let Some(start) = start
                    && start >= range.start
                    && bytes[start] == text[0]
                    && bytes[start..range.end].starts_with(text)
                {
                    return Some((*number as usize, start));
                }
            }
            end += 1;
        }
        None
    }

    /// Calls `found` with the number of each text that occurs, as often as it does.
    pub(super) fn find_all(&self, bytes: &[u8], mut found: impl FnMut(usize)) {
        for end in self.window..=bytes.len() {
            let slot = hash(bytes, end - BLOCK);
            if self.shifts[slot] > 0 {
                continue;
            }
            let bucket = self.buckets[slot] as usize..self.buckets[slot + 1] as usize;
            for (number, offset) in &self.candidates[bucket] {
                let start = (end - self.window).checked_sub(*offset as usize);
                if start.is_some_and(|start| bytes[start..].starts_with(&self.texts[*number as usize])) {
                    found(*number as usize);
                }
            }
        }
    }
}

// The one line that runs for every few bytes; the release profile would leave it a call.
#[inline(always)]
fn hash(bytes: &[u8], at: usize) -> usize {
    let block = match bytes.get(at..at + BLOCK).map(<[u8; BLOCK]>::try_from) {
        Some(Ok(block)) => u32::from_le_bytes(block),
        _ => 0,
    };
    // Multiplicative hashing; the constant is 2^32 divided by the golden ratio.
    (block.wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize
}

/// Where in a text the window ends on the bytes that are rarest in logs, so that few places look like a match.
fn rarest_window(text: &[u8], window: usize) -> usize {
    let commonness = |end: usize| -> u32 {
        let block = &text[end - BLOCK..end];
        let bytes: u32 = block.iter().map(|byte| u32::from(common(*byte))).sum();
        if memmem::find(COMMON.as_bytes(), block).is_some() { bytes + 100 } else { bytes }
    };
    (window..=text.len()).min_by_key(|end| commonness(*end)).unwrap_or(window) - window
}

/// What daemons write all day.
const COMMON: &str = "time=\"2024-01-02T03:04:05.678901234Z\" level=info level=debug level=warning level=error msg=\"\
    docker dockerd containerd libcontainerd io.containerd.snapshotter.v1.overlayfs module=grpc namespace=moby \
    plugins.moby loading plugin skip loading plugin error=\" type=io.containerd.runtime.v2 .service.v1.tasks-service \
    starting containerd revision= version= address=/var/run/docker/containerd/containerd.sock serving... container= \
    shim disconnected cleaning up dead shim ignoring event topic=/tasks/delete type=\"*events.TaskDelete\" handling \
    Calling GET /v1.41/containers/json POST /_ping request-url= status= daemon Daemon has completed initialization \
    API listen on /var/run/docker.sock Loading containers: start. done. healthcheck stopping event stream following \
    graceful shutdown context canceled network bridge ClientConn Channel Connectivity change to READY CONNECTING \
    Subchannel picks a new address unix:/// to connect scheme not registered, fallback to default scheme parsed \
    /var/lib/docker/overlay2/ sandbox endpoint attach build image layer sha256:0123456789abcdef configuration failed";

/// How common a byte is in daemon logs, roughly: letters by their frequency in English, and what time stamps and
/// logfmt are made of.
const fn common(byte: u8) -> u8 {
    match byte {
        b' ' | b'e' | b'0' | b'1' | b'2' | b'=' | b'"' => 12,
        b't' | b'a' | b'o' | b'i' | b'n' | b'-' | b':' | b'.' | b'/' => 10,
        b's' | b'r' | b'd' | b'l' | b'3'..=b'9' => 8,
        b'c' | b'm' | b'f' | b'u' | b'p' | b'g' => 6,
        b'h' | b'v' | b'b' | b'y' | b'w' | b'k' => 4,
        b'T' | b'Z' | b'x' => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(texts: &[&str]) -> Filter {
        Filter::new(texts.iter().map(|text| text.as_bytes().to_vec()).collect())
    }

    fn naive(texts: &[&str], bytes: &[u8]) -> Vec<usize> {
        let mut all: Vec<usize> = (0..texts.len())
            .filter(|number| bytes.windows(texts[*number].len()).any(|window| window == texts[*number].as_bytes()))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn finds_the_first_text() {
        let filter = filter(&["permission denied", "no such file", "still running"]);
        let log = b"process 12 is still running, no such file";
        assert_eq!(filter.find(log, 0..log.len()), Some((2, 14)));
        assert_eq!(filter.find(log, 20..log.len()), Some((1, 29)));
        assert_eq!(filter.find(log, 0..20), None);
        assert_eq!(filter.find(b"", 0..0), None);
    }

    #[test]
    fn no_texts_find_nothing() {
        assert_eq!(Filter::new(Vec::new()).find(b"anything at all", 0..15), None);
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_naive_search(log in "[abc ]{0,80}") {
            let texts = ["abca", "bcab ca", "cc cca", "aaaaaaaa", "b cab"];
            let filter = filter(&texts);
            let mut all = Vec::new();
            filter.find_all(log.as_bytes(), |number| all.push(number));
            all.sort_unstable();
            all.dedup();
            proptest::prop_assert_eq!(&all, &naive(&texts, log.as_bytes()));
            let first = filter.find(log.as_bytes(), 0..log.len());
            proptest::prop_assert_eq!(first.is_some(), !all.is_empty());
        }
    }
}
