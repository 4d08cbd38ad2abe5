//! Interface to the source of randomness that is passed to the rules.

/// Source of cryptographically secure random bytes.
pub trait Random {
    /// Fills `bytes` with random bytes.
    fn fill(&mut self, bytes: &mut [u8]);
}
