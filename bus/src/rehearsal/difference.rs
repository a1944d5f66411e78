//! Two texts, line by line.

use serde::Serialize;
use similar::{Algorithm, DiffTag, capture_diff_slices};

/// Lines around a difference that are shown with it.
const AROUND: usize = 3;

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Sign {
    /// In both.
    #[serde(rename = " ")]
    Both,
    /// Only in the first.
    #[serde(rename = "-")]
    First,
    /// Only in the second.
    #[serde(rename = "+")]
    Second,
}

impl Sign {
    /// As in `diff -u`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Both => " ",
            Self::First => "-",
            Self::Second => "+",
        }
    }
}

/// The lines of both texts, each once where both have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Difference(pub Vec<(Sign, String)>);

impl Difference {
    /// Compares two texts.
    pub fn of(first: &[String], second: &[String]) -> Self {
        let mut lines = Vec::new();
        let mut push = |sign, from: &[String]| lines.extend(from.iter().map(|line| (sign, line.clone())));
        for change in capture_diff_slices(Algorithm::Myers, first, second) {
            let (tag, old, new) = change.as_tag_tuple();
            if tag == DiffTag::Equal {
                push(Sign::Both, &first[old]);
            } else {
                push(Sign::First, &first[old]);
                push(Sign::Second, &second[new]);
            }
        }
        Self(lines)
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.0.iter().all(|(sign, _)| *sign == Sign::Both)
    }

    /// What differs with a few lines around it; `None` stands for lines that are left out.
    pub fn excerpt(&self) -> Vec<Option<&(Sign, String)>> {
        let near = |at: usize| {
            let (from, to) = (at.saturating_sub(AROUND), (at + AROUND + 1).min(self.0.len()));
            self.0[from..to].iter().any(|(sign, _)| *sign != Sign::Both)
        };
        // What was asked of whom is always told.
        let kept: Vec<bool> = (0..self.0.len()).map(|at| at == 0 || near(at)).collect();
        // In the place of one line nothing shorter can stand.
        let single = |at: usize| at > 0 && kept[at - 1] && kept.get(at + 1).copied().unwrap_or(false);
        let mut shown = Vec::new();
        for (at, line) in self.0.iter().enumerate() {
            if kept[at] || single(at) {
                shown.push(Some(line));
            } else if !matches!(shown.last(), Some(None)) {
                shown.push(None);
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_shown_where_it_differs() {
        let lines = |changed: &str| {
            (0..20).map(|n| if n == 10 { changed.to_owned() } else { n.to_string() }).collect::<Vec<_>>()
        };
        let difference = Difference::of(&lines("было"), &lines("стало"));
        let shown: Vec<String> = difference
            .excerpt()
            .into_iter()
            .map(|line| line.map_or("…".to_owned(), |(sign, text)| format!("{}{text}", sign.as_str())))
            .collect();
        assert_eq!(shown, [" 0", "…", " 7", " 8", " 9", "-было", "+стало", " 11", " 12", " 13", "…"]);
        assert!(Difference::of(&lines("a"), &lines("a")).is_none() && !difference.is_none());
    }
}
