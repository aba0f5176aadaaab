//! The allocator: the system's own, but a failed allocation ends the process with one line.
//!
//! Without it std prints a backtrace or a note about one and aborts, and an aborting PID 1 ends as a segmentation fault.

use std::alloc::{GlobalAlloc, Layout, System};
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
