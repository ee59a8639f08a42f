//! The only place that makes randomness: named streams of one seed, the same on every machine.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The generator behind every random choice of the program.
pub type Rng = ChaCha8Rng;

/// The stream `name` of `seed`. Streams of different names are independent, so that a new draw in one
/// place never changes what another place draws.
pub fn stream(seed: u64, name: &str) -> Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    Rng::from_seed(hash.finalize().into())
}

/// A seed that differs from run to run, for retry jitter and the like. Whoever uses it prints it first.
pub fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    #[test]
    fn a_stream_is_a_function_of_seed_and_name() {
        assert_eq!(stream(1, "a").next_u64(), stream(1, "a").next_u64());
        assert_ne!(stream(1, "a").next_u64(), stream(1, "b").next_u64());
        assert_ne!(stream(1, "a").next_u64(), stream(2, "a").next_u64());
    }
}
