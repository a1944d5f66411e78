//! Whether a source is the base that it was.

use crate::vocabulary::Identity;

/// `Err` says in words what is another.
pub fn same_base(known: &Identity, now: &Identity) -> Result<(), String> {
    if known.base != now.base {
        return Err(
            "another base answers than the one that was read last (a test copy, or loaded anew from a dump)".into()
        );
    }
    if known.timeline != now.timeline {
        return Err(format!(
            "its history has forked (timeline {} was read last, now {}): a backup was restored, or a standby took over, \
             and the last changes may be missing there",
            known.timeline, now.timeline
        ));
    }
    match (known.position, now.position) {
        (Some(known), Some(now)) if now < known => {
            Err("it went back to an earlier state (a backup or a snapshot was restored)".into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_base_a_fork_and_an_earlier_state_are_noticed() {
        let base = |name: &str, timeline, position| Identity { base: name.into(), timeline, position };
        let known = base("7:5", 1, Some(100));
        for (now, expected) in [
            (base("7:5", 1, Some(100)), None),
            (base("7:5", 1, Some(101)), None),
            (base("7:5", 1, None), None),
            (base("7:6", 1, Some(200)), Some("another base")),
            (base("7:5", 2, Some(200)), Some("forked")),
            (base("7:5", 1, Some(99)), Some("went back")),
        ] {
            let found = same_base(&known, &now).err();
            let right = match (&found, expected) {
                (Some(words), Some(part)) => words.contains(part),
                (None, None) => true,
                _ => false,
            };
            assert!(right, "{now:?}: {found:?}");
        }
    }
}
