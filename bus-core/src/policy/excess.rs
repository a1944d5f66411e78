//! The yardstick: did a list of sends keep the capacity in *every* window? Used by tests, the demo and the oracle.

use super::clock::Micros;
use super::profile::Profile;

/// The largest N(t, t+w) - ∫rate - 1 over all windows: 0 when capacity was kept, 1.0 when one send came too early by a whole
/// interval. Sends may come in any order. O(n log n).
///
/// Only windows that begin and end with a send can be the worst. With C(t) the integral up to t, the window from send i to
/// send j exceeds by (j - C(tⱼ)) - (i - C(tᵢ)): so the least term so far is all that is kept.
pub fn max_excess(sends: &[Micros], profile: &Profile) -> f64 {
    let mut sends = sends.to_vec();
    sends.sort_unstable();
    let (mut allowed, mut least, mut worst) = (0.0, f64::INFINITY, 0.0_f64);
    for (index, at) in sends.iter().enumerate() {
        if let Some(before) = index.checked_sub(1) {
            allowed += profile.permits_between(sends[before], *at);
        }
        let term = index as f64 - allowed;
        least = least.min(term);
        worst = worst.max(term - least);
    }
    worst
}

/// How many sends fell into closed hours: a single one exceeds no window by more than the 1 that every window has, but it
/// should not have been.
pub fn sends_while_closed(sends: &[Micros], profile: &Profile) -> usize {
    sends.iter().filter(|at| profile.piece_at(**at).rate.is_closed()).count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::profile::tests::{any_instant, any_profile};
    use super::*;

    /// The definition itself: every pair of sends.
    fn by_definition(sends: &[Micros], profile: &Profile) -> f64 {
        let mut worst = 0.0_f64;
        for (i, from) in sends.iter().enumerate() {
            for (j, to) in sends.iter().enumerate().skip(i) {
                worst = worst.max((j - i) as f64 - profile.permits_between(*from, *to));
            }
        }
        worst
    }

    #[test]
    fn a_burst_is_seen_even_after_a_long_silence() {
        let profile = Profile::always("60/min".parse().unwrap());
        let even: Vec<Micros> = (0..100).map(|n| Micros(n * 1_000_000)).collect();
        assert!(max_excess(&even, &profile) < 1e-9);
        let mut burst = even.clone();
        burst.extend([Micros(500_000_000), Micros(500_000_000), Micros(500_500_000)]);
        assert!((max_excess(&burst, &profile) - 1.5).abs() < 1e-9);
        assert_eq!(max_excess(&[], &profile), 0.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn the_fast_form_equals_the_definition(
            (windows, zone) in any_profile(), start in any_instant(), gaps in prop::collection::vec(0_i64..400_000_000, 0..30),
        ) {
            let profile = Profile::new(&windows, zone).unwrap();
            let mut at = start.0;
            let sends: Vec<Micros> = gaps.iter().map(|gap| { at += gap; Micros(at) }).collect();
            let (fast, slow) = (max_excess(&sends, &profile), by_definition(&sends, &profile));
            prop_assert!((fast - slow).abs() < 1e-6, "{fast} {slow}");
        }
    }
}
