//! The macros that declare options: one place for parser, check, schema and reference.

/// Joins the lines of a doc comment.
#[doc(hidden)]
pub fn doc(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// Declares a table of options.
///
/// ```
/// use std::time::Duration;
/// bus_options::options! {
///     /// How to try again.
///     pub struct Retry("retry") {
///         /// How often at most.
///         attempts: bus_options::Whole<1, 1000> = 8;
///         /// The first wait.
///         first: Duration = "1s";
///         /// Waits are bounded by this.
///         max as "maximum": Duration, optional;
///         /// Where to.
///         to: String, required;
///         /// How patient to be; `[defaults]` may say it for all tables of this kind.
///         patience: Duration, shared = "10s";
///     } planned ["jitter"]
/// }
/// ```
///
/// A field is `required` (of the type written), `optional` (an `Option` of it), or has a default, written as TOML.
/// `as` gives the key where it is not the field's name; `shared` says that [`DefaultsOf`](crate::DefaultsOf) may hold it. `planned` lists keys that will come and are reported as such.
#[macro_export]
macro_rules! options {
    (
        $(#[doc = $table_doc:expr])*
        $vis:vis struct $name:ident($title:literal) {
            $(
                $(#[doc = $doc:expr])*
                $field:ident $(as $key:literal)? : $ty:ty $(, $flag:ident)* $(= $default:tt)? ;
            )*
        } $(planned [$($planned:literal),* $(,)?])?
    ) => {
        $(#[doc = $table_doc])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            $( $(#[doc = $doc])* pub $field: $crate::__option_type!([$ty] $($flag)* $(= $default)?), )*
        }

        impl $crate::Declared for $name {
            fn read_beside(
                node: $crate::Node<'_>, also: &[&str], report: &mut $crate::Report,
            ) -> ::core::option::Option<Self> {
                #[allow(unused_mut, reason = "a table may have no options")]
                let mut reader = $crate::Reader::open(node, &<Self as $crate::OptionValue>::kind(), report)?;
                $( let $field = $crate::__option_read!(
                    reader, $crate::__option_key!($field $($key)?), [$ty] $($flag)* $(= $default)?); )*
                reader.finish(also, &[$($($planned),*)?]);
                ::core::option::Option::Some(Self { $($field: $field?),* })
            }

            fn declaration() -> $crate::Declaration {
                $crate::Declaration {
                    title: $title.into(),
                    doc: $crate::declare_doc(&[$($table_doc),*]),
                    rows: ::std::vec![$($crate::Row {
                        key: $crate::__option_key!($field $($key)?),
                        kind: <$ty as $crate::OptionValue>::kind().into_owned(),
                        presence: $crate::__option_presence!($($flag)* $(= $default)?),
                        shared: false $(|| $crate::__option_shared!($flag))*,
                        fits: |node, report| <$ty as $crate::OptionValue>::read(node, report).is_some(),
                        doc: $crate::declare_doc(&[$($doc),*]),
                        schema: <$ty as $crate::OptionValue>::schema(),
                    }),*],
                }
            }
        }

        impl $crate::Shares for $name {
            fn declarations() -> ::std::vec::Vec<$crate::Declaration> {
                ::std::vec![<Self as $crate::Declared>::declaration()]
            }
        }

        impl $crate::OptionValue for $name {
            fn read(node: $crate::Node<'_>, report: &mut $crate::Report) -> ::core::option::Option<Self> {
                <Self as $crate::Declared>::read_beside(node, &[], report)
            }
            fn kind() -> ::std::borrow::Cow<'static, str> {
                ::core::concat!("table `", $title, "`").into()
            }
            fn schema() -> $crate::private::serde_json::Value {
                $crate::object_schema(&<Self as $crate::Declared>::declaration())
            }
            fn tables(out: &mut ::std::vec::Vec<$crate::Declaration>) {
                out.push(<Self as $crate::Declared>::declaration());
                $( <$ty as $crate::OptionValue>::tables(out); )*
            }
        }
    };
}

/// Declares a set of words, one of which an option can be.
///
/// ```
/// bus_options::choices! {
///     /// What the log looks like.
///     pub enum LogFormat { Text = "text", Json = "json" }
/// }
/// ```
#[macro_export]
macro_rules! choices {
    (
        $(#[doc = $enum_doc:expr])*
        $vis:vis enum $name:ident { $( $(#[doc = $doc:expr])* $variant:ident = $word:literal ),* $(,)? }
        $(planned [$($planned:literal),* $(,)?])?
    ) => {
        $(#[doc = $enum_doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name { $( $(#[doc = $doc])* #[doc = ::core::concat!("`", $word, "`")] $variant ),* }

        impl $crate::OptionValue for $name {
            fn read(node: $crate::Node<'_>, report: &mut $crate::Report) -> ::core::option::Option<Self> {
                match node.text(&<Self as $crate::OptionValue>::kind(), report)? {
                    $( $word => ::core::option::Option::Some(Self::$variant), )*
                    other => {
                        node.not_a_choice(other, &[$($word),*], &[$($($planned),*)?], report);
                        ::core::option::Option::None
                    }
                }
            }
            fn kind() -> ::std::borrow::Cow<'static, str> {
                [$( ::core::concat!("`\"", $word, "\"`") ),*].join(" or ").into()
            }
            fn schema() -> $crate::private::serde_json::Value {
                $crate::private::serde_json::json!({"enum": [$($word),*]})
            }
        }
    };
}

/// Declares a table of several kinds, told apart by one key.
///
/// ```ignore
/// tagged! {
///     /// A system.
///     pub enum System by "kind" { Sql(SqlSystem) = "sql", Http(HttpSystem) = "http" } planned ["soap"]
/// }
/// ```
#[macro_export]
macro_rules! tagged {
    (
        $(#[doc = $enum_doc:expr])*
        $vis:vis enum $name:ident by $tag:literal {
            $( $(#[doc = $doc:expr])* $variant:ident($ty:ty) = $word:literal ),* $(,)?
        }
        $(planned [$($planned:literal),* $(,)?])?
    ) => {
        $(#[doc = $enum_doc])*
        #[derive(Debug, Clone)]
        $vis enum $name { $( $(#[doc = $doc])* $variant($ty) ),* }

        impl $crate::Shares for $name {
            fn declarations() -> ::std::vec::Vec<$crate::Declaration> {
                ::std::vec![$( <$ty as $crate::Declared>::declaration() ),*]
            }
        }

        impl $crate::OptionValue for $name {
            fn read(node: $crate::Node<'_>, report: &mut $crate::Report) -> ::core::option::Option<Self> {
                let words = &[$($word),*];
                let word = node.tag($tag, words, &[$($($planned),*)?], report)?;
                $( if word == $word {
                    return <$ty as $crate::Declared>::read_beside(node, &[$tag], report).map(Self::$variant);
                } )*
                ::core::option::Option::None
            }
            fn kind() -> ::std::borrow::Cow<'static, str> {
                let words = [$( ::core::concat!("`\"", $word, "\"`") ),*].join(" or ");
                ::std::format!("table with `{} =` {words}", $tag).into()
            }
            fn schema() -> $crate::private::serde_json::Value {
                let kinds = [$( $crate::tagged_schema($tag, $word, <$ty as $crate::OptionValue>::schema()) ),*];
                $crate::private::serde_json::json!({ "oneOf": kinds })
            }
            fn tables(out: &mut ::std::vec::Vec<$crate::Declaration>) {
                $( <$ty as $crate::OptionValue>::tables(out); )*
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __option_type {
    ([$ty:ty] required) => { $ty };
    ([$ty:ty] optional $(shared)?) => { ::core::option::Option<$ty> };
    ([$ty:ty] $(shared)? = $default:tt) => { $ty };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __option_read {
    ($reader:ident, $key:expr, [$ty:ty] required) => {
        $reader.required::<$ty>($key)
    };
    ($reader:ident, $key:expr, [$ty:ty] optional $(shared)?) => {
        $reader.optional::<$ty>($key)
    };
    ($reader:ident, $key:expr, [$ty:ty] $(shared)? = $default:tt) => {
        $reader.or_default::<$ty>($key, ::core::stringify!($default))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __option_key {
    ($field:ident $key:literal) => {
        $key
    };
    ($field:ident) => {
        ::core::stringify!($field)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __option_presence {
    (required) => {
        $crate::Presence::Required
    };
    (optional $(shared)?) => {
        $crate::Presence::Optional
    };
    ($(shared)? = $default:tt) => {
        $crate::Presence::Default(::core::stringify!($default))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __option_shared {
    (shared) => {
        true
    };
    ($flag:ident) => {
        false
    };
}
