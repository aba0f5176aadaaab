//! The allocator: the system's own, but a failed allocation ends the process with one line. And what PID 1 gives back.
//!
//! Without it std prints a backtrace or a note about one and aborts, and an aborting PID 1 ends as a segmentation fault.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::io::{self, Write as _};

use super::level::Level;
use crate::exit;

/// [`System`], of which no call returns null: the process exits with [`exit::INTERNAL`] instead.
#[derive(Debug, Clone, Copy)]
pub struct OrExit;

// SAFETY: each call is passed on to `System` as it is, and so is what it returns.
unsafe impl GlobalAlloc for OrExit {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the trait's contract.
        or_exit(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        or_exit(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        or_exit(unsafe { System.realloc(old, layout, size) }, size)
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

fn or_exit(memory: *mut u8, size: usize) -> *mut u8 {
    if memory.is_null() { fail(size) } else { memory }
}

/// Allocates nothing and takes no lock.
#[cold]
fn fail(size: usize) -> ! {
    let mut line = [0; 96];
    let mut rest = line.as_mut_slice();
    let _ = writeln!(rest, "{}dindcheck: out of memory: cannot allocate {size} bytes", Level::Error.mark());
    let left = rest.len();
    let _ = nix::unistd::write(io::stderr(), &line[..line.len() - left]);
    // SAFETY: it does not return; what std would do at an exit might allocate.
    unsafe { libc::_exit(i32::from(exit::INTERNAL)) }
}

unsafe extern "C" {
    // Set by the linker: where the program's file begins in memory, and where its code ends. Data that is written to, also by
    // the relocations of a start, comes behind that.
    static __executable_start: u8;
    static etext: u8;
}

/// Gives back the memory that a start has needed and a wait does not: the heap's free pages, and the pages of the program's
/// file. Of these what is used again is mapped again, from the kernel's cache (madvise(2), MADV_DONTNEED).
pub fn release() {
    let page = usize::try_from(procfs::page_size()).unwrap_or(usize::MAX);
    let start = (&raw const __executable_start).addr().next_multiple_of(page);
    let end = (&raw const etext).addr() / page * page;
    if fs::read_to_string("/proc/self/maps").is_ok_and(|maps| are_of_a_file(&maps, start, end)) {
        // SAFETY: the range is of read-only pages of a file, none of which this process has changed: they read as before.
        // Where the kernel refuses, those that it has given back do so, too.
        unsafe {
            libc::madvise(std::ptr::without_provenance_mut(start), end.saturating_sub(start), libc::MADV_DONTNEED);
        }
    }
    #[cfg(target_env = "gnu")]
    // SAFETY: only free memory of the heap is given back.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Whether all that is mapped between these addresses is of a file, and read only. That of a program which has unpacked itself
/// is not, and would be lost. `maps` is in the form of proc_pid_maps(5), of which procfs reads more than is asked here: 17 kB
/// of code.
fn are_of_a_file(maps: &str, start: usize, end: usize) -> bool {
    let address = |text: &str| usize::from_str_radix(text, 16).ok();
    let is_safe = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        let (mode, inode) = (fields.next()?, fields.nth(2)?);
        Some(address(from)? >= end || address(to)? <= start || !mode.contains('w') && inode != "0")
    };
    maps.lines().all(|line| is_safe(line) == Some(true))
}

#[cfg(test)]
mod tests {
    use procfs::process::{MemoryMap, Process};

    use super::*;
    use crate::process::alone;

    #[test]
    fn only_what_a_file_has_unchanged_is_given_back() {
        let text = "1000-2000 r--p 00000000 fe:00 7 /d\n2000-4000 r-xp 00001000 fe:00 7 /d\n\
                    4000-5000 rw-p 00003000 fe:00 7 /d\n5000-6000 r-xp 00000000 00:00 0 \n6000-7000 rw-p 00000000 00:00 0 [heap]\n";
        for (start, end, given_back) in [
            (0x1000, 0x4000, true),
            (0x1fff, 0x2001, true),
            (0x1000, 0x4001, false),
            (0x3000, 0x5000, false),
            (0x5000, 0x6000, false),
            (0x4fff, 0x5000, false),
            (0x7000, 0x8000, true),
        ] {
            assert_eq!(are_of_a_file(text, start, end), given_back, "{start:x}-{end:x}");
        }
        assert!(!are_of_a_file("odd\n", 0x1000, 0x2000));
    }

    #[test]
    fn memory_that_is_not_to_be_had_ends_the_process_with_one_line() {
        let mut command = alone::command(|| {
            let mut byte = 0;
            assert_eq!(or_exit(&raw mut byte, 1), &raw mut byte);
            or_exit(std::ptr::null_mut(), 123_456);
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        let (status, _) = alone::run(command.stderr(file.reopen().unwrap()));
        assert_eq!(status.code(), Some(i32::from(exit::INTERNAL)));
        let written = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(written, "dindcheck: out of memory: cannot allocate 123456 bytes\n");
    }

    /// The mapping of the program's code, or its last part.
    fn code() -> MemoryMap {
        let last = (&raw const etext).addr() as u64 - 1;
        let maps = Process::myself().unwrap().smaps().unwrap();
        maps.into_iter().find(|map| map.address.0 <= last && last < map.address.1).unwrap()
    }

    #[test]
    fn the_pages_of_code_are_given_back_and_mapped_again() {
        alone::passes(&mut alone::command(|| {
            let (start, end) = code().address;
            let sum = || {
                (start..end).step_by(4096).fold(0_u64, |sum, address| {
                    let address = std::ptr::with_exposed_provenance::<u8>(usize::try_from(address).unwrap());
                    // SAFETY: it lies in a mapping that is readable and stays.
                    sum + u64::from(unsafe { address.read_volatile() })
                })
            };
            let before = sum();
            let all = code().extension.map["Rss"];
            release();
            let left = code().extension.map["Rss"];
            assert!(left < all, "{left} of {all} bytes");
            assert_eq!(sum(), before);
        }));
    }
}
