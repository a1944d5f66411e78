//! Routes without the rest of the bus: what they make of a message, by the code that delivers, and nothing is sent.
//!
//! | file | idea |
//! |---|---|
//! | `stage.rs` | routes, their maps and targets, built from a landscape; no secret is read |
//! | `outcome.rs` | what became of a message, and what that looks like in lines |
//! | `expected.rs` | whether it is what a test expects |
//! | `difference.rs` | two texts, line by line |

mod difference;
mod expected;
mod outcome;
mod stage;

pub use difference::{Difference, Sign};
pub use expected::compare;
pub use outcome::Outcome;
pub use stage::Stage;
