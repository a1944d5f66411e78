//! One number from which every random choice of a scene follows.

use fastrand::Rng;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// `ORACLE_SEED` if it is set, else a new one; printed, so that a failure can be repeated.
    pub fn choose(what: &str) -> Self {
        let given = std::env::var("ORACLE_SEED").ok().and_then(|text| text.parse().ok());
        let seed = Self(given.unwrap_or_else(|| fastrand::u64(..1_000_000)));
        println!("{what}: ORACLE_SEED={}", seed.0);
        seed
    }

    /// A generator of its own for each part of a scene, so that one part's choices do not move another's.
    pub fn part(self, part: u64) -> Rng {
        Rng::with_seed(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(part))
    }
}

/// A body that breaks what is careless with quotes, lines, signs beyond ASCII, or length.
pub(super) fn text(rng: &mut Rng) -> String {
    const WORDS: [&str; 10] =
        ["Заказ №", "\"в кавычках\"", "a\\b", "строка\nвторая", "😀", "<&>", "100,50 ₽", "\t", "{{key}}", "'"];
    let count = rng.usize(1..12);
    let words: Vec<&str> = (0..count).map(|_| WORDS[rng.usize(..WORDS.len())]).collect();
    // Told apart even where the words are the same.
    format!("{} {}", words.join(" "), rng.u64(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_its_parts_differ() {
        let texts = |part| (0..5).map(|_| text(&mut Seed(7).part(part))).collect::<Vec<_>>();
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
    }
}
