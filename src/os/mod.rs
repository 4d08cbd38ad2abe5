//! What the server needs of the operating system.

pub mod allocator;
pub mod clock;
pub mod files;
pub mod random;
pub mod state_dir;
pub mod systemd;
