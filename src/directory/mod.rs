//! The lab's directory: the process that asks it, `opentrons-auth-directory`, and the protocol that the
//! auth server asks that process by. The auth server itself has no network.

pub mod client;
#[cfg(feature = "directory")]
pub mod process;
pub mod protocol;
