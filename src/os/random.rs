//! The system's random number generator.

use crate::domain::random::Random;

/// Random bytes from the system (`getrandom(2)`).
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        getrandom::getrandom(bytes).expect("the system's random number generator does not fail");
    }
}
