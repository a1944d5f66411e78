//! The codes of mistakes in the configuration. Each has a page in `docs/errors`.

/// A stable code, so that a mistake can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code {
    /// For example `BUS-C003`; also the file name of its page.
    pub id: &'static str,
    /// The mistake in a few words: the page's title.
    pub title: &'static str,
}

macro_rules! codes {
    ($($name:ident = $id:literal $title:literal;)*) => {
        /// The mistakes that reading a configuration can find.
        pub mod codes {
            use super::Code;
            $(#[doc = $title] pub const $name: Code = Code { id: $id, title: $title };)*
            /// All of them, in order.
            pub const ALL: &[Code] = &[$($name),*];
        }
    };
}

codes! {
    UNREADABLE = "BUS-C001" "a file cannot be read";
    SYNTAX = "BUS-C002" "the file is not TOML";
    UNKNOWN_KEY = "BUS-C003" "an unknown key";
    MISSING = "BUS-C004" "a required key is missing";
    WRONG_TYPE = "BUS-C005" "a value of another type is expected";
    BAD_VALUE = "BUS-C006" "the value cannot be understood";
    NOT_YET = "BUS-C007" "not supported yet";
    LITERAL_SECRET = "BUS-C008" "a secret must not stand in the file";
    BAD_NAME = "BUS-C009" "not a name";
    DUPLICATE = "BUS-C010" "the same name twice";
    UNKNOWN_REFERENCE = "BUS-C011" "a name that nothing defines";
    UNCOVERED_HOURS = "BUS-C012" "hours that no window covers";
    NOBODY_TAKES = "BUS-C013" "a stream nobody takes";
    CONTRADICTION = "BUS-C014" "options that do not go together";
    BAD_PROGRAM = "BUS-C015" "a mistake in a transform or filter";
    BAD_PATH = "BUS-C016" "not a path into a record";
    OPEN_WITHOUT_KEY = "BUS-C017" "an open address without a key";
    IDLE_FEED = "BUS-C018" "a feed that serves no stream";
    NO_SUCH_COLUMN = "BUS-C019" "a key column that is not there";
    NOBODY_DELIVERS = "BUS-C020" "a reference that nobody delivers";
    ONE_RECORDS_PLACE = "BUS-C021" "a value of one record in a request of several";
    BATCH_TO_1C = "BUS-C022" "several records in one request to 1C";
    ONE_RECORDS_HEADER = "BUS-C023" "an idempotency key for several records";
    BATCH_RESULTS = "BUS-C024" "results that cannot be told apart";
    MAP_FILE = "BUS-C025" "a map's file cannot be used";
    BATCH_WAITS = "BUS-C026" "a batch that waits longer than records are held";
    NOTHING_TO_DO = "BUS-C027" "a configuration without streams";
    OPEN_PASSWORD = "BUS-C030" "a password that everybody on the way can read";
    TEST_FILE = "BUS-C031" "a test's file cannot be used";
    DATE_UNREAD = "BUS-C032" "a date that nothing is read by";
    PLACE_TAKEN = "BUS-C038" "a place that another route has";
    MASKED_NAME = "BUS-C042" "a mask over what records are known by";
    BAD_MASK = "BUS-C043" "not a field that can be masked";
    ARCHIVE_OUTLIVES = "BUS-C044" "an archive that outlives the journal";
    DATE_WITHOUT_RECHECK = "BUS-C050" "a business date without a comparison";
    NO_OBJECT_OF_1C = "BUS-C051" "no name of an object of 1C";
    NO_SIGN_OF_A_BASE = "BUS-C052" "what tells no base of 1C from another";
    POSTS_NO_DOCUMENT = "BUS-C060" "posting what is no document";
}
