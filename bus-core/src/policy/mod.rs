//! Decisions as pure state machines: no I/O, no async, no clock of their own; `now` and jitter are arguments.

pub mod backfill;
mod breaker;
mod cause;
mod clock;
mod cron;
mod decide;
pub mod echo;
mod excess;
mod fingerprint;
mod forecast;
mod local;
mod mask;
mod notify;
mod pace;
mod paces;
pub mod places;
mod profile;
mod rate;
mod reservation;
mod retry;
mod schedule;
pub mod select;
mod slice;
mod slowdown;
mod span;
mod streak;
mod watch;
mod when;
mod window;

pub use breaker::{Admission, Breaker, Change, Options as BreakerOptions, Pass, State as BreakerState};
pub use cause::{Cause, THE_BROKER, Topology};
pub use clock::{Micros, Now, Tick};
pub use cron::{Cron, CronError};
pub use decide::{Attempt, Disposition, Idempotency, decide, may_send};
pub use excess::{max_excess, sends_while_closed};
pub use fingerprint::{fingerprint, pattern};
pub use forecast::{Empty, Load, forecast};
pub use mask::{Compared, MASKED, Masks, compare, is_sign};
pub use notify::{CauseId, Due, TellRules, Teller};
pub use pace::{DEFAULT_MARGIN, PacePlan, Pacer};
pub use paces::Paces;
pub use profile::{Piece, Profile, Uncovered, uncovered};
pub use rate::{Rate, RateError};
pub use reservation::{AHEAD as RESERVED_AHEAD, Reservation, last_grant, quiet_until};
pub use retry::{Jitter, RetryPolicy};
pub use schedule::{Schedule, ScheduleError};
pub use slice::Slice;
pub use slowdown::Strain;
pub use span::{SpanError, parse_duration};
pub use streak::RejectStreak;
pub use watch::{
    BacklogWatch, BrokerWatch, Calendar, ConsumerLook, ConsumerWatch, CursorRound, CursorWatch, DiskLook, DiskWatch,
    Expectation, Sign, TimeOfDay, certificate, same_base,
};
pub use when::{parse_moment, parse_period};
pub use window::{Days, Hours, Window, WindowError};
