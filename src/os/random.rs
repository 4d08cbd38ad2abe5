//! Random bytes.

use crate::domain::random::Random;

/// The system's generator of random bytes (`getrandom(2)`).
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        getrandom::getrandom(bytes).expect("the system's random generator works");
    }
}
