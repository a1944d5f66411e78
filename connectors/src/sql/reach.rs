//! What a database says of itself and of our rights, whatever is read there.

use bus_core::ports::source::{SourceError, SystemReport};

use super::asked::unknown_address;
use super::{Address, postgres, sqlite};
use bus_core::policy::select::Dialect;

/// Reaches a database. Changes nothing.
pub async fn reach(address: &Address) -> Result<SystemReport, SourceError> {
    match Dialect::of_url(address.url.expose()).ok_or_else(unknown_address)? {
        Dialect::Postgres => postgres::reach::system(address).await,
        Dialect::Sqlite => sqlite::reach(address).await,
    }
}
