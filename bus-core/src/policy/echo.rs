//! Whether what a source brings is our own write coming back. Pure.
//!
//! Two routes carry the same entity between two systems, one each way. For each key the bus remembers what the other
//! route has written to the system that this one's stream is read from, and when it began to. Per key the stream is in order, and
//! what was read before a write began cannot have come of it.

use crate::vocabulary::{ContentHash, Moment};

/// What the other route wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Of the compared fields.
    pub print: ContentHash,
    /// When its attempt began, by our clock.
    pub began: Moment,
    /// What came of it.
    pub end: End,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Nothing yet.
    UnderWay,
    /// The receiver has taken it.
    Taken,
    /// Nobody knows whether it has.
    InDoubt,
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is ours and says nothing new; writes that began before this moment cannot come back any more.
    Echo(Moment),
    /// It was changed at its source and goes on; writes that began before this moment are behind it, or in doubt, and what is read
    /// of those goes on too.
    Changed(Moment),
    /// Both sides changed, and the other route has written over it at its own source since it was read: who reaches the
    /// other side first wins.
    Overwritten,
    /// The other route is writing this moment, and nobody can say whether that is taken, or which comes first: ask again.
    Later,
}

/// Judges what was read. `writes` are those of its key, oldest first; `read_at` is when it was sealed, so not before it
/// was read.
pub fn judge(read: &ContentHash, read_at: Moment, writes: &[Write]) -> Verdict {
    // The oldest that fits: what was written after it may still come back.
    if let Some(write) = writes.iter().find(|write| write.print == *read) {
        return Verdict::Echo(write.began);
    }
    // Before anything is given up for it: a write under way may still be refused.
    if writes.iter().any(|write| write.end == End::UnderWay) {
        return Verdict::Later;
    }
    if writes.iter().any(|write| write.began >= read_at && write.end == End::Taken) {
        return Verdict::Overwritten;
    }
    // What is in doubt may be refused yet, and then only this change is left. It is forgotten: if it was taken, it will be
    // read behind this one, and has to follow it to the other side.
    let behind = writes.last().map(|write| Moment(write.began.0.saturating_add(1)));
    Verdict::Changed(behind.map_or(read_at, |behind| behind.max(read_at)))
}

#[cfg(test)]
#[path = "echo_worlds.rs"]
mod worlds;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::Operation;

    fn print(value: &str) -> ContentHash {
        ContentHash::of(Operation::Upsert, value.as_bytes())
    }

    /// Plays what is read against what was written: `w:X@5` writes (`u`: under way, `d`: in doubt), `r:X@7` reads, and forgets
    /// as the store does.
    fn play(story: &str) -> Vec<&'static str> {
        let (mut writes, mut seen): (Vec<Write>, _) = (Vec::new(), Vec::new());
        for event in story.split_whitespace() {
            let (what, at) = event.split_once('@').unwrap();
            let (kind, value) = what.split_once(':').unwrap();
            let at = Moment(at.parse().unwrap());
            if kind != "r" {
                let end = match kind {
                    "u" => End::UnderWay,
                    "d" => End::InDoubt,
                    _ => End::Taken,
                };
                writes.push(Write { print: print(value), began: at, end });
                continue;
            }
            let (word, forget) = match judge(&print(value), at, &writes) {
                Verdict::Echo(before) => ("echo", Some(before)),
                Verdict::Changed(before) => ("changed", Some(before)),
                Verdict::Overwritten => ("overwritten", None),
                Verdict::Later => ("later", None),
            };
            if let Some(before) = forget {
                writes.retain(|write| write.began >= before);
            }
            seen.push(word);
        }
        seen
    }

    #[test]
    fn our_own_write_is_an_echo_as_often_as_it_is_read_and_nothing_else_is() {
        assert_eq!(play("w:X@1 r:X@2 r:X@3 r:Y@4"), ["echo", "echo", "changed"]);
        assert_eq!(play("r:X@1"), ["changed"]);
        // There and back again is a change both times.
        assert_eq!(play("w:X@1 r:X@2 r:Y@3 r:X@4"), ["echo", "changed", "changed"]);
        // Also where the first reading was skipped.
        assert_eq!(play("w:X@1 r:Y@3 r:X@4"), ["changed", "changed"]);
    }

    #[test]
    fn quick_writes_come_back_one_by_one_or_only_the_last() {
        assert_eq!(play("w:X@1 w:Y@2 r:X@3 r:Y@4 r:X@5"), ["echo", "echo", "changed"]);
        assert_eq!(play("w:X@1 w:Y@2 r:Y@4 r:X@5"), ["echo", "changed"]);
        assert_eq!(play("w:X@1 w:Y@2 w:X@3 r:X@4 r:Y@5 r:X@6 r:Y@7"), ["echo", "echo", "echo", "changed"]);
    }

    #[test]
    fn when_both_sides_change_the_first_to_arrive_wins() {
        // V was read, and then we wrote over it.
        assert_eq!(play("w:X@5 r:V@3 r:X@7"), ["overwritten", "echo"]);
        // V was read after our write began: it stands at the source, or X will be read behind it.
        assert_eq!(play("w:X@5 r:V@6 r:X@7"), ["changed", "changed"]);
        // While the write is under way nobody knows.
        assert_eq!(play("u:X@5 r:V@6"), ["later"]);
        assert_eq!(play("u:X@5 r:X@6"), ["echo"]);
        // Nor whether it will be: V was read before, and the write may be refused.
        assert_eq!(play("u:X@5 r:V@3"), ["later"]);
        assert_eq!(play("w:X@5 u:Y@6 r:V@3"), ["later"]);
    }

    #[test]
    fn no_change_is_given_up_for_a_write_in_doubt() {
        // It may be refused yet, and then V is all there is; if it was taken, X is read behind V and follows it.
        assert_eq!(play("d:X@5 r:V@3 r:X@7"), ["changed", "changed"]);
        assert_eq!(play("d:X@5 d:Y@6 r:V@3 r:Y@7"), ["changed", "changed"]);
        // Known to have been taken, when it was repeated or before: V was written over.
        assert_eq!(play("d:X@5 w:X@6 r:V@3 r:X@7"), ["overwritten", "echo"]);
        assert_eq!(play("w:X@5 d:Y@6 r:V@3 r:Y@7"), ["overwritten", "echo"]);
        // Alone it is as good an echo as any.
        assert_eq!(play("d:X@5 r:X@7 r:X@8 r:V@9 r:X@10"), ["echo", "echo", "changed", "changed"]);
    }
}
