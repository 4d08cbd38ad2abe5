//! The memory allocator: wipes memory that is freed, and returns large blocks to the system.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

use nix::libc;

/// Minimum size of a block that is returned to the system as soon as it is freed, in bytes.
const LARGE: usize = 1 << 20;

/// The C library's allocator, which overwrites memory before it is freed, so that passwords and tokens
/// stay in memory no longer than they are used. That includes the copies that crates make: buffers of
/// a connection, bodies, and what a growing vector leaves behind.
///
/// Blocks of at least 1 MiB are not overwritten: they are returned to the system, which clears them
/// before anybody gets them.
pub struct WipingAllocator;

// SAFETY: every block comes from `System` with the layout that the caller gave, and goes back to it with
// the same layout.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        System.alloc(layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        System.alloc_zeroed(layout)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() < LARGE {
            block.write_bytes(0, layout.size());
            // The compiler would omit writes that nothing reads.
            black_box(block);
        }
        System.dealloc(block, layout);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.size() >= LARGE {
            return System.realloc(block, layout, size);
        }
        // The C library may move a block, and does not overwrite what it leaves behind.
        let moved = System.alloc(Layout::from_size_align_unchecked(size, layout.align()));
        if !moved.is_null() {
            moved.copy_from_nonoverlapping(block, layout.size().min(size));
            self.dealloc(block, layout);
        }
        moved
    }
}

/// Makes the C library return large blocks to the system as soon as they are freed. Must be called
/// before any thread is started.
///
/// By default, glibc raises its threshold to the size of the largest freed block, and then keeps
/// blocks of that size: 19 MiB for each thread that hashes passwords (`mallopt(3)`,
/// `M_MMAP_THRESHOLD`).
#[allow(unsafe_code)]
pub fn release_large_blocks() {
    // SAFETY: mallopt only stores a number in the allocator's own state.
    let done = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE as libc::c_int) };
    if done != 1 {
        log::warn!("freed memory is not returned to the system at once: mallopt failed");
    }
}
