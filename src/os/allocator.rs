//! What the allocator does with memory that is free.

use nix::libc;

/// Blocks from this size on are had from the system and given back at once, in bytes.
const BIG: libc::c_int = 1 << 20;

/// Lets the C library's allocator give big blocks back to the system as soon as they are free.
///
/// By itself it keeps blocks of the size that it has seen freed before: 19 MiB for each thread that
/// hashes passwords (`mallopt(3)`, `M_MMAP_THRESHOLD`). Call it before there are threads.
#[allow(unsafe_code)]
pub fn give_back_early() {
    // SAFETY: mallopt only stores a number in the allocator's own state.
    let done = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, BIG) };
    if done != 1 {
        log::warn!("the allocator keeps big blocks of memory: mallopt failed");
    }
}
