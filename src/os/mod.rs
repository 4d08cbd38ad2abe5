//! Operating system services: clocks, random bytes, files, the state directory and its reserve of disk
//! space, connections with a deadline, systemd, the allocator.

pub mod allocator;
pub mod clock;
pub mod deadline;
pub mod files;
pub mod lock;
pub mod owner;
pub mod random;
pub mod reserve;
pub mod state_dir;
pub mod systemd;
pub mod terminal;
