//! What the fuzz targets share.

#[path = "../../common/mod.rs"]
pub mod common;
pub mod edits;
pub mod logger;
pub mod robot;
