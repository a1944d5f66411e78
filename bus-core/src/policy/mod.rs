//! Placeholder.
/// Whether sending the same parcel twice does harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// Repeating is harmless (PUT, DELETE, or the receiver recognises the idempotency key).
    Idempotent,
    /// Repeating duplicates: an unknown outcome is never blindly repeated.
    NonIdempotent,
}
