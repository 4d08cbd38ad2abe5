//! Configuration of the C library's memory allocator.

use nix::libc;

/// Minimum size of a block that is returned to the system as soon as it is freed, in bytes.
const LARGE: libc::c_int = 1 << 20;

/// Makes the allocator return large blocks to the system as soon as they are freed. Must be called
/// before any thread is started.
///
/// By default, glibc raises its threshold to the size of the largest freed block, and then keeps
/// blocks of that size: 19 MiB for each thread that hashes passwords (`mallopt(3)`,
/// `M_MMAP_THRESHOLD`).
#[allow(unsafe_code)]
pub fn release_large_blocks() {
    // SAFETY: mallopt only stores a number in the allocator's own state.
    let done = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    if done != 1 {
        log::warn!("freed memory is not returned to the system at once: mallopt failed");
    }
}
