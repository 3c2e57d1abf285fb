//! Seeded random numbers, the same on every machine.

use std::fmt;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The root of a tree of independent random streams.
///
/// A seed gives the root; [`named`](Key::named) and [`numbered`](Key::numbered) give the branches. What one branch
/// draws changes nothing for the others, so that a new use of randomness leaves the earlier ones as they were.
///
/// A branch is a block of the ChaCha8 stream that its parent keys, hence as hard to tell from chance as the cipher.
///
/// ```
/// use nn::random::Key;
/// let key = Key::new(7);
/// let mut shuffle = key.named("shuffle").numbered(3).generator(); // that of the fourth epoch
/// assert_eq!(shuffle.permutation(4).len(), 4);
/// assert_ne!(key.named("split"), key.named("shuffle"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

/// ChaCha stream that holds the numbers of a [`Generator`]; the branches of a key are read from the two others.
const DRAWS: u64 = 0;
const NUMBERED: u64 = 1;
const NAMED: u64 = 2;

impl Key {
    /// The root key of this seed.
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Key(key)
    }

    /// The branch of this name.
    pub fn named(self, name: &str) -> Self {
        // The length comes first: no chain of names spells another chain.
        let length = self.block(NAMED, name.len() as u64);
        name.as_bytes().chunks(8).fold(length, |key, chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            key.block(NAMED, u64::from_le_bytes(word))
        })
    }

    /// The branch of this number, as of an epoch or a step.
    pub fn numbered(self, n: u64) -> Self {
        self.block(NUMBERED, n)
    }

    /// A generator at the start of this key's stream.
    pub fn generator(self) -> Generator {
        Generator { rng: self.stream(DRAWS), spare: None }
    }

    fn stream(self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::from_seed(self.0);
        rng.set_stream(stream);
        rng
    }

    fn block(self, stream: u64, n: u64) -> Self {
        const WORDS: u128 = 16;
        let mut rng = self.stream(stream);
        rng.set_word_pos(u128::from(n) * WORDS);
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        Key(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// A stream of random numbers: ChaCha with 8 rounds.
#[derive(Clone, Debug)]
pub struct Generator {
    rng: ChaCha8Rng,
    /// The second of the pair of normal numbers that one draw makes.
    spare: Option<f64>,
}

impl Generator {
    /// A number uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        self.rng.random()
    }

    /// A number of the standard normal distribution, by Marsaglia's polar method (SIAM Review 6, 1964).
    pub fn normal(&mut self) -> f64 {
        if let Some(x) = self.spare.take() {
            return x;
        }
        loop {
            let (u, v) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let s = u * u + v * v;
            if 0.0 < s && s < 1.0 {
                // libm's logarithm, unlike the platform's, has the same bits everywhere.
                let r = (-2.0 * libm::log(s) / s).sqrt();
                self.spare = Some(v * r);
                return u * r;
            }
        }
    }

    /// A number from 0 to n − 1, each as likely as the others to within n·2⁻⁵³.
    ///
    /// # Panics
    /// If there is none, n being 0.
    #[track_caller]
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "below: there is no number below 0");
        ((self.uniform() * n as f64) as usize).min(n - 1)
    }

    /// Puts the items in a uniformly random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.rng);
    }

    /// The numbers 0 to n − 1 in a uniformly random order.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn first_values_are_pinned() {
        let key = Key::new(1).named("golden");
        let uniform: Vec<f64> = (0..3).scan(key.generator(), |g, _| Some(g.uniform())).collect();
        let normal: Vec<f64> = (0..3).scan(key.generator(), |g, _| Some(g.normal())).collect();
        // As an independent program computes them from the definition of ChaCha.
        assert_eq!(uniform, [0.5579858314900992, 0.9969525445260244, 0.23622932290044596]);
        assert_eq!(normal, [-0.4586770239311253, -0.5987018909459388, 0.25809828708726046]);
        assert_eq!(key.numbered(2).generator().permutation(8), [5, 2, 4, 1, 6, 7, 3, 0]);
    }

    #[test]
    fn a_seed_alone_is_plain_chacha() {
        // Bernstein's ChaCha with 8 rounds: the key is the seed in little-endian bytes, nonce and counter are 0.
        let mut seed = [0; 32];
        seed[0] = 5;
        let word = ChaCha8Rng::from_seed(seed).next_u64();
        assert_eq!(Key::new(5).generator().uniform(), (word >> 11) as f64 / (1u64 << 53) as f64);
    }

    #[test]
    fn branches_differ() {
        let key = Key::new(0);
        let keys = [
            key,
            Key::new(1),
            key.numbered(0),
            key.numbered(1),
            key.numbered(u64::MAX),
            key.numbered(0).numbered(1),
            key.numbered(1).numbered(0),
            key.named(""),
            key.named("a"),
            key.named("b"),
            key.named("a").named("b"),
            key.named("b").named("a"),
            key.named("ab"),
            key.named("a\0"),
            key.named("\u{1}"),
            key.named("layers.0.weight"),
            key.named("layers.0.bias"),
        ];
        let streams: HashSet<u64> = keys.iter().map(|k| k.generator().uniform().to_bits()).collect();
        assert_eq!(streams.len(), keys.len());
    }

    /// Mean, variance, and fourth moment of 10⁵ draws, each within five standard errors of the distribution's.
    fn moments_agree(draw: impl FnMut() -> f64, mean: f64, variance: f64, fourth: f64, eighth: f64) {
        const N: usize = 100_000;
        let draws: Vec<f64> = std::iter::repeat_with(draw).take(N).collect();
        let moment = |p: i32| draws.iter().map(|x| (x - mean).powi(p)).sum::<f64>() / N as f64;
        let within = |found: f64, expected: f64, variance: f64| {
            assert!((found - expected).abs() < 5.0 * (variance / N as f64).sqrt(), "{found} against {expected}");
        };
        within(moment(1), 0.0, variance);
        within(moment(2), variance, fourth - variance * variance);
        within(moment(4), fourth, eighth - fourth * fourth);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut g = Key::new(3).generator();
        moments_agree(|| g.uniform(), 0.5, 1.0 / 12.0, 1.0 / 80.0, 1.0 / 2304.0);
        moments_agree(|| g.normal(), 0.0, 1.0, 3.0, 105.0);
    }

    #[test]
    fn numbers_below_a_bound_are_equally_likely() {
        let mut g = Key::new(6).generator();
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|_| counts[g.below(7)] += 1);
        // Within five standard errors, √(np(1 − p)) each.
        assert!(counts.iter().all(|&n| (f64::from(n) - 10_000.0).abs() < 5.0 * 92.6), "{counts:?}");
        assert_eq!(g.below(1), 0);
    }

    #[test]
    #[should_panic(expected = "below: there is no number below 0")]
    fn there_is_no_number_below_zero() {
        Key::new(0).generator().below(0);
    }

    #[test]
    fn a_permutation_holds_every_number_once_and_all_orders_occur() {
        let mut g = Key::new(4).generator();
        let mut sorted = g.permutation(1000);
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..1000));
        let orders: HashSet<Vec<usize>> = (0..1000).map(|_| g.permutation(4)).collect();
        assert_eq!(orders.len(), 24);
    }
}
