//! Wiring: from a checked landscape to running parts. The one place that knows every connector.
//!
//! Two steps: [`parts::prepare`] builds what may fail (secrets, addresses, certificates, maps) and changes nothing that runs;
//! [`Parts::open`](parts::Parts::open) makes jobs of it. A reload prepares first, and ends what it replaces in between.
//!
//! | file | what it is |
//! |---|---|
//! | `parts.rs` | the two steps |
//! | `feeds.rs`, `source.rs` | what reads or is pushed to, by kind of system |
//! | `routes.rs`, `target.rs` | what delivers, by kind of system |
//! | `joins.rs`, `maps.rs`, `echoes.rs`, `subscriptions.rs` | what else a landscape may hold |
//! | `workshop.rs`, `broker.rs`, `gates.rs`, `operations.rs` | what all of them share |
//! | `secrets.rs` | what the configuration only names |
//! | `reach.rs` | `bus check --connect` |

mod broker;
mod echoes;
pub mod feeds;
pub mod gates;
pub mod joins;
pub mod maps;
pub mod operations;
pub mod parts;
pub mod reach;
pub mod routes;
pub mod secrets;
pub mod source;
mod subscriptions;
pub mod target;
mod workshop;

pub use self::workshop::Workshop;
