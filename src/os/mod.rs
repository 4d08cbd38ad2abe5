//! Operating system services: clocks, random bytes, files, the state directory, systemd, the
//! allocator.

pub mod allocator;
pub mod clock;
pub mod files;
pub mod random;
pub mod state_dir;
pub mod systemd;
