//! Rules for stored password hashes, wherever they come from.

use argon2::password_hash::PasswordHash;

use crate::domain::passwords::{MAX_HASH_LANES, MAX_HASH_MEMORY_KIB, MAX_HASH_PASSES};

/// Accepted lengths of a hash's salt, in bytes.
const SALT: std::ops::RangeInclusive<usize> = 8..=48;
/// Accepted lengths of a hash's output, in bytes.
const OUTPUT: std::ops::RangeInclusive<usize> = 16..=64;

/// Checks that a hash, as a PHC string, can be verified within the server's limits on memory and
/// time.
///
/// # Errors
/// A description of what is wrong with it, as a verb phrase without any part of the hash.
pub fn check(text: &str) -> Result<(), &'static str> {
    let hash = PasswordHash::new(text).map_err(|_| "is not a PHC string")?;
    if !["argon2id", "argon2i", "argon2d"].contains(&hash.algorithm.as_str()) {
        return Err("is not an Argon2 hash");
    }
    // A hash without a version would wrongly be verified as one of the current version.
    if !matches!(hash.version, Some(0x10 | 0x13)) {
        return Err("does not state a known version of Argon2");
    }
    let cost = |name| hash.params.get_decimal(name);
    let (Some(memory), Some(passes), Some(lanes)) = (cost("m"), cost("t"), cost("p")) else {
        return Err("does not state its memory, passes and lanes");
    };
    if hash.params.iter().count() != 3 {
        return Err("has unknown parameters");
    }
    if memory > MAX_HASH_MEMORY_KIB || passes > MAX_HASH_PASSES || lanes > MAX_HASH_LANES {
        return Err("requires more than m=262144 (256 MiB), t=16, p=16");
    }
    if passes < 1 || lanes < 1 || memory < 8 * lanes {
        return Err("requires less than the minimum of Argon2");
    }
    let mut bytes = [0; *SALT.end()];
    let salt = hash.salt.and_then(|salt| salt.decode_b64(&mut bytes).ok());
    if !salt.is_some_and(|salt| SALT.contains(&salt.len())) {
        return Err("does not have a salt of 8 to 48 bytes");
    }
    if !hash.hash.is_some_and(|hash| OUTPUT.contains(&hash.len())) {
        return Err("does not have a hash of 16 to 64 bytes");
    }
    Ok(())
}
