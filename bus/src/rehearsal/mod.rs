//! Routes without the rest of the bus: what they make of a message, by the code that delivers, and nothing is sent.
//!
//! | file | idea |
//! |---|---|
//! | `stage.rs` | routes, their maps and targets, built from a landscape; no secret is read |
//! | `outcome.rs` | what became of a message, and what that looks like in lines |
//! | `expected.rs` | whether it is what a test expects |
//! | `difference.rs` | two texts, line by line |
//! | `past.rs` | what two configurations make of the same past messages |
//! | `pace.rs` | what that does to pace and forecast |
//! | `sides.rs`, `told.rs` | that, side by side, within the terminal's width |

mod difference;
mod expected;
mod outcome;
mod pace;
mod past;
mod sides;
mod stage;
mod told;

pub use difference::{Difference, Sign};
pub use expected::compare;
pub use outcome::{Outcome, Request};
pub use pace::{Outlook, Work, outlooks};
pub use past::{Compared, Standing, compared};
pub use stage::Stage;
pub use told::told;
