//! How many deletions a comparison may send without a person.

/// Against a query, or a right, that suddenly shows less than there is: that takes many records away at once, and the point
/// check of each key, made with the same query, would miss them too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeletionGuard {
    /// Share of the existing keys, in percent.
    pub percent: f64,
}

impl DeletionGuard {
    /// Whether `missing` of `existing` records may be deleted. One always may where others stay: of five records a tenth is
    /// none, and each deletion would need a person. Of 0 % none may.
    pub fn lets_go(self, missing: u64, existing: u64) -> bool {
        // "29%" is a little less than 29 in binary.
        let share = (existing as f64 * self.percent / 100.0 + 1e-6).floor() as u64;
        let one = u64::from(self.percent > 0.0 && existing > 1);
        missing <= share.max(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_may_go_and_of_few_records_one() {
        for (percent, missing, existing, expected) in [
            (10.0, 1, 5, true),
            (10.0, 2, 5, false),
            (10.0, 1, 1, false),
            (10.0, 1, 2, true),
            (10.0, 2, 2, false),
            (10.0, 2, 20, true),
            (10.0, 3, 20, false),
            (100.0, 1, 1, true),
            (0.29 * 100.0, 29, 100, true),
            (0.0, 1, 1000, false),
            (0.0, 0, 1000, true),
        ] {
            let guard = DeletionGuard { percent };
            assert_eq!(guard.lets_go(missing, existing), expected, "{missing} of {existing} at {percent} %");
        }
    }
}
