//! Lines within a width.

use super::*;

const STYLE: Style = Style { width: 60, colour: false, timezone: chrono_tz::Europe::Moscow };

#[test]
fn lines_keep_to_the_width_in_columns_and_hang_below_their_parent() {
    let long = "широкое слово ".repeat(12);
    let leaf = |text: &str| node(text.trim());
    let root =
        Node { below: vec![Node { below: vec![leaf(&long)], ..node("а") }, leaf(&"щ".repeat(100))], ..node("к") };
    let mut out = String::new();
    print(&root, "", "", &STYLE, &mut out);
    assert!(out.lines().all(|line| line.width() <= 60), "{out}");
    assert!(out.starts_with("к\n├─ а\n│  └─ широкое слово"), "{out}");
    assert!(out.contains("\n│       широкое") || out.contains("\n│       слово"), "{out}");
    assert!(!out.contains('\x1b'));
    assert_eq!(out.matches('щ').count(), 100);
}

#[test]
fn an_answer_cannot_steer_the_terminal() {
    let mut out = String::new();
    print(&node("\x1b[2Jweg"), "", "", &STYLE, &mut out);
    assert!(!out.contains('\x1b'));
    assert!(out.contains("weg"));
}

#[test]
fn a_time_of_day_stays_with_its_word() {
    let text =
        "2026-11-23 12:27:33.500  first seen  read by feed orders (round 1.1) as 1.3, in the broker 12:27:33.687";
    for room in 30..110 {
        let lines = wrapped(text, room);
        assert!(lines.iter().all(|line| !line.starts_with("12:") && line.width() <= room), "{lines:?}");
        assert_eq!(lines.join(" ").replace("  ", " "), text.replace("  ", " "), "nothing is lost");
    }
}
