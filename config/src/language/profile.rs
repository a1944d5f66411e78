//! `[profiles.NAME]`: capacity over the day and the week.

use std::borrow::Cow;
use std::fmt;

use bus_core::policy::{Days, Hours, Rate, Window, uncovered};
use bus_core::vocabulary::{NameError, StreamName};
use bus_options::{EntityName, Node, OptionValue, Ref, Report, codes, options};
use serde_json::{Value, json};

/// Name of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileName(String);

impl EntityName for ProfileName {
    const KIND: &'static str = "profile";
    fn parse(text: &str) -> Result<Self, NameError> {
        // The same rules as for every other name.
        StreamName::new(text).map(|name| Self(name.into()))
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

options! {
    /// One window of a profile.
    pub struct WindowOptions("[[profiles.NAME.windows]]") {
        /// The hours it holds in.
        at: Hours = "00:00-24:00";
        /// The days it begins on.
        days: Days = "Mon-Sun";
        /// What may be sent or read then; `"0/min"` closes.
        rate: Rate, required;
    }
}

options! {
    /// Capacity over the day and the week, in the time zone of the bus. The first window that matches holds; an hour
    /// that nothing covers is a mistake.
    pub struct ProfileOptions("[profiles.NAME]") {
        /// The windows, first match wins.
        windows: Vec<WindowOptions>, required;
    }
}

/// Windows that together cover the week.
#[derive(Debug, Clone)]
pub struct Profile(pub Vec<Window>);

impl OptionValue for Profile {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let options = ProfileOptions::read(node, report)?;
        let window = |window: WindowOptions| Window { days: window.days, hours: window.at, rate: window.rate };
        let windows: Vec<Window> = options.windows.into_iter().map(window).collect();
        if let Some(gap) = uncovered(&windows) {
            let hint = "add a last window without `at` and `days`: { rate = \"…\" }; \"0/min\" closes the rest";
            report.add_with_hint(codes::UNCOVERED_HOURS, &node.span(), gap.to_string(), hint);
            return None;
        }
        Some(Self(windows))
    }
    fn kind() -> Cow<'static, str> {
        ProfileOptions::kind()
    }
    fn schema() -> Value {
        ProfileOptions::schema()
    }
    fn tables(out: &mut Vec<bus_options::Declaration>) {
        ProfileOptions::tables(out);
    }
}

/// A rate that always holds, or the profile that says when which one does.
#[derive(Debug, Clone)]
pub enum Pace {
    /// `"100/min"`.
    Rate(Rate),
    /// `"day-night"`.
    Profile(Ref<ProfileName>),
}

impl OptionValue for Pace {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if node.text("a rate or the name of a profile", report)?.contains('/') {
            return Rate::read(node, report).map(Self::Rate);
        }
        Ref::read(node, report).map(Self::Profile)
    }
    fn kind() -> Cow<'static, str> {
        "rate such as `\"100/min\"`, or name of a profile".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "minLength": 1})
    }
}
