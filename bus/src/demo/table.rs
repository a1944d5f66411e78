//! Tables of the demo's view: what does not fit is left out, the least important first.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between columns.
const GAP: usize = 2;
/// Of a name so much is shown before a column is.
const NAME: usize = 12;
/// Shorter bars show nothing.
const BARS: usize = 4;

/// Names, figures in the order of their importance, and a picture of what was.
pub struct Table {
    /// What the names are of.
    pub what: &'static str,
    /// Heads of the figures.
    pub heads: &'static [&'static str],
    /// One line each: name, figures, bars with the latest last.
    pub rows: Vec<(String, Vec<String>, String)>,
}

impl Table {
    /// Its lines, none wider than `width`. Bars are shortened first, then figures are left out from the right, then names
    /// are cut. `names` is how wide the widest name is, of all tables that stand under each other.
    pub fn lines(&self, width: usize, names: usize) -> Vec<String> {
        let columns = self.columns(width.saturating_sub(names.min(NAME)));
        let figures: usize = columns.iter().sum();
        let name = names.min(width.saturating_sub(figures));
        let bars = width.saturating_sub(name + figures + GAP);
        let bars = if bars < BARS || columns.len() < self.heads.len() { 0 } else { bars };
        let line = |first: &str, figures: &[&str], picture: &str| {
            let mut line = padded(&shortened(first, name), name);
            for (figure, wide) in figures.iter().zip(&columns) {
                line.push_str(&format!("{figure:>wide$}"));
            }
            if bars > 0 {
                line.push_str(&" ".repeat(GAP));
                line.push_str(picture);
            }
            line
        };
        let row = |(name, figures, history): &(String, Vec<String>, String)| {
            let figures: Vec<&str> = figures.iter().map(String::as_str).collect();
            let early = history.chars().count().saturating_sub(bars);
            line(name, &figures, &history.chars().skip(early).collect::<String>())
        };
        std::iter::once(line(self.what, self.heads, "rate")).chain(self.rows.iter().map(row)).collect()
    }

    /// How wide the first figures are that fit.
    fn columns(&self, mut room: usize) -> Vec<usize> {
        let mut columns = Vec::new();
        for (at, head) in self.heads.iter().enumerate() {
            let widest = self.rows.iter().filter_map(|(_, figures, _)| figures.get(at)).map(|figure| figure.width());
            let wide = widest.max().unwrap_or(0).max(head.width()) + GAP;
            let Some(left) = room.checked_sub(wide) else { break };
            room = left;
            columns.push(wide);
        }
        columns
    }
}

/// A name in a column so wide, whatever its script.
pub fn padded(name: &str, width: usize) -> String {
    format!("{name}{}", " ".repeat(width.saturating_sub(name.width())))
}

/// A name that shows that it is not whole.
fn shortened(name: &str, width: usize) -> String {
    if name.width() <= width { name.to_owned() } else { format!("{}…", cut(name, width.saturating_sub(1))) }
}

/// Cuts a line to the terminal's width, wide characters counted as two. Colours come after it.
pub fn cut(line: &str, width: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= width
    };
    line.chars().take_while(fits).collect()
}

/// Lines that belong together.
pub struct Section {
    /// Left out as a whole the earlier, the greater this is; 0 never.
    pub rank: u8,
    /// From the top.
    pub lines: Vec<String>,
}

/// Not more lines than there is room for: first what is between sections goes, then sections by their rank, then what is
/// at the bottom, which is said.
pub fn bounded(mut sections: Vec<Section>, height: usize) -> Vec<String> {
    let count = |sections: &[Section]| sections.iter().map(|section| section.lines.len()).sum::<usize>();
    sections.retain(|section| !section.lines.is_empty());
    if count(&sections) + sections.len() <= height + 1 {
        let texts: Vec<Vec<String>> = sections.into_iter().map(|section| section.lines).collect();
        return texts.join(&String::new());
    }
    while count(&sections) > height
        && let Some(least) = sections.iter().map(|section| section.rank).max().filter(|rank| *rank > 0)
    {
        sections.retain(|section| section.rank != least);
    }
    let mut lines: Vec<String> = sections.into_iter().flat_map(|section| section.lines).collect();
    if lines.len() > height {
        let shown = height.saturating_sub(1);
        let more = lines.len() - shown;
        lines.truncate(shown);
        lines.push(format!("… {more} more lines"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_exceeds_the_terminal() {
        assert_eq!(cut("заказы", 3), "зак");
        assert_eq!(cut("заказы", 6), "заказы");
        assert_eq!(cut("中文字", 5), "中文");
        assert_eq!(cut("! недоступно", 4), "! не", "an incident too, however narrow");
        assert_eq!(shortened("заказы-в-магазин", 8), "заказы-…");
    }

    #[test]
    fn columns_stand_under_each_other_in_any_script() {
        for name in ["orders", "заказы-в-магазин", "中文", "a-name-that-is-wider-than-the-column"] {
            assert_eq!(padded(name, 20).width(), name.width().max(20), "{name}");
        }
    }

    #[test]
    fn what_is_least_important_goes_first() {
        let section = |rank, name: &str, count: usize| {
            let lines = (1..=count).map(|number| format!("{name}{number}")).collect();
            Section { rank, lines }
        };
        let page = |height| {
            bounded(vec![section(0, "a", 2), section(2, "b", 2), section(1, "c", 1), section(0, "d", 2)], height)
        };
        assert_eq!(page(10), ["a1", "a2", "", "b1", "b2", "", "c1", "", "d1", "d2"]);
        assert_eq!(page(9), ["a1", "a2", "b1", "b2", "c1", "d1", "d2"]);
        assert_eq!(page(6), ["a1", "a2", "c1", "d1", "d2"]);
        assert_eq!(page(4), ["a1", "a2", "d1", "d2"]);
        assert_eq!(page(3), ["a1", "a2", "… 2 more lines"]);
        assert_eq!(page(1), ["… 4 more lines"]);
    }
}
