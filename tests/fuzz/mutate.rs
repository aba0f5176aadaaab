//! Mutations: what is likely to be read in another way.

use std::ops::Range;

/// Numbers that look random, the same for the same beginning (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(number: u64) -> Self {
        Self(number)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below a limit, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("it is below a usize")
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A part of so many bytes, short ones more often.
    fn part(&mut self, length: usize) -> Range<usize> {
        let begin = self.below(length + 1);
        let most = (length - begin).min(1 << self.below(11));
        begin..begin + self.below(most + 1)
    }
}

/// What readers trip over.
const WORDS: [&str; 40] = [
    "",
    "\0",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "=",
    "-",
    "--",
    "/",
    "..",
    "../../",
    "//",
    "%",
    "#",
    "*",
    "&a",
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "18446744073709551616",
    "-9223372036854775809",
    "4294967296",
    "\u{feff}",
    "\u{202e}",
    "\u{1b}[31m",
    "ä😀",
];

/// A seed with a few changes.
pub(crate) fn mutated(random: &mut Random, seeds: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = random.of(seeds).clone();
    for _ in 0..=random.below(4) {
        let part = random.part(input.len());
        match random.below(8) {
            0 if !input.is_empty() => {
                let at = random.below(input.len());
                input[at] ^= 1 << random.below(8);
            }
            1 if !input.is_empty() => {
                let at = random.below(input.len());
                input[at] = *random.of(&[0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'/']);
            }
            2 => drop(input.drain(part)),
            3 => {
                let copy = input[part.clone()].to_vec();
                let most = if random.below(8) == 0 { 64 } else { 2 };
                let times = 1 + random.below(most);
                for _ in 0..times {
                    input.splice(part.end..part.end, copy.iter().copied());
                }
            }
            4 => {
                let other = random.of(seeds);
                let theirs = other[random.part(other.len())].to_vec();
                input.splice(part, theirs);
            }
            5 => {
                let lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
                let (from, to) = (random.below(lines.len().max(1)), random.below(lines.len().max(1)));
                let mut lines = lines;
                if from < lines.len() && to < lines.len() {
                    lines.swap(from, to);
                }
                input = lines.concat();
            }
            _ => {
                let own = !words.is_empty() && random.below(2) == 0;
                let word = if own { *random.of(words) } else { *random.of(&WORDS) };
                let place = if random.below(2) == 0 { part } else { part.start..part.start };
                input.splice(place, word.bytes());
            }
        }
    }
    input
}
