//! The functions of a transform: what shaping a record needs, picked one by one.
//!
//! Nothing here reads a clock, a random source, the environment, a file or the network: the same record and the same maps
//! always give the same message.

use vrl::compiler::Function;
use vrl::stdlib;

use super::lookup::Lookup;

macro_rules! functions {
    ($($name:ident)*) => { vec![Box::new(Lookup) as Box<dyn Function>, $(Box::new(stdlib::$name)),*] };
}

/// All functions a program may call.
pub fn all() -> Vec<Box<dyn Function>> {
    functions! {
        Abs Append Array Assert AssertEq Boolean Ceil Chunks Compact Contains ContainsAll DecodeBase64 DecodePercent Del
        Downcase EncodeBase64 EncodeJson EncodePercent EndsWith Exists Filter Find Flatten Float Floor ForEach FormatInt
        FormatNumber FormatTimestamp FromUnixTimestamp Get Includes Integer IsArray IsBoolean IsEmpty IsFloat IsInteger
        IsNull IsNullish IsObject IsString IsTimestamp Join Keys Length MapKeys MapValues Match Merge Mod Object
        ObjectFromArray ParseFloat ParseInt ParseRegex ParseRegexAll ParseTimestamp ParseUrl Pop Push Remove Replace
        ReplaceWith Round Set Slice Split StartsWith String StripWhitespace Strlen Timestamp ToBool ToFloat ToInt ToString
        ToUnixTimestamp Truncate Unflatten Unique Upcase Values Zip
    }
}
