//! Which mistakes may only follow from what could not be read: telling them would send people to the wrong place.

use std::ops::Range;

use bus_options::{Code, FileId, Sources, Span, codes};

/// Mistakes of one value: they are what they are, whatever is missing beside it.
const OF_ONE_VALUE: [Code; 10] = [
    codes::UNKNOWN_KEY,
    codes::WRONG_TYPE,
    codes::BAD_VALUE,
    codes::NOT_YET,
    codes::LITERAL_SECRET,
    codes::BAD_NAME,
    codes::BAD_PROGRAM,
    codes::BAD_PATH,
    codes::BAD_MASK,
    codes::UNREADABLE,
];

/// Keys whose values are streams or feeds.
const TAKING: [&str; 3] = ["stream", "from", "join"];

/// What could not be read, of one file or of all.
#[derive(Debug, Default)]
pub struct Damage {
    /// Tables that lack something.
    tables: Vec<(FileId, Range<usize>)>,
    /// What was written there: a name in it may be defined or used.
    lost: String,
    /// A header could not be read: any name may be missing.
    pub names: bool,
    /// What holds in all tables is incomplete.
    everywhere: bool,
}

impl Damage {
    /// Something of the table under the header `path` is lost.
    pub fn lose(&mut self, path: &[String], table: Range<usize>, text: &str) {
        self.tables.push((FileId::NONE, table));
        self.lost.push_str(text);
        self.lost.push('\n');
        // The list of files stands above the first header.
        let files = path.is_empty() && text.contains("include");
        self.everywhere |= files || path.first().is_some_and(|first| first == "bus" || first == "defaults");
        self.names |= files;
    }

    /// Adds that of a file.
    pub fn add(&mut self, file: FileId, other: Damage) {
        self.tables.extend(other.tables.into_iter().map(|(_, range)| (file, range)));
        self.lost.push_str(&other.lost);
        self.names |= other.names;
        self.everywhere |= other.everywhere;
    }

    /// Whether nothing is lost.
    pub fn is_none(&self) -> bool {
        self.tables.is_empty()
    }

    /// Whether this mistake stands whatever was lost.
    pub fn keeps(&self, code: Code, span: &Span, sources: &Sources) -> bool {
        if self.is_none() || code == codes::SYNTAX || code == codes::DUPLICATE {
            return true;
        }
        match code {
            codes::UNKNOWN_REFERENCE | codes::NOBODY_TAKES | codes::IDLE_FEED => {
                let name = sources.text(span.file).get(span.range.clone()).unwrap_or("").trim_matches(['"', '\'']);
                let taken = code != codes::UNKNOWN_REFERENCE && self.takes();
                !self.names && !taken && !self.lost.contains(name)
            }
            codes::NOBODY_DELIVERS => false,
            _ => OF_ONE_VALUE.contains(&code) || !self.is_hurt(span),
        }
    }

    /// Whether a key is lost whose value is a stream or a feed: any may be meant.
    fn takes(&self) -> bool {
        let is_key = |part: &str, key: &str| {
            let rest = part.trim_start().trim_start_matches(['"', '\'']).strip_prefix(key);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-'))
        };
        self.lost.split(['\n', '{', ',']).any(|part| TAKING.iter().any(|key| is_key(part, key)))
    }

    fn is_hurt(&self, span: &Span) -> bool {
        let holds = |(file, range): &(FileId, Range<usize>)| *file == span.file && range.contains(&span.range.start);
        self.everywhere || self.tables.iter().any(holds)
    }
}
