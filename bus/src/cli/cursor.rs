//! `bus cursor …`.

use clap::{Args, Subcommand};

use super::Config;

#[derive(Debug, Subcommand)]
pub enum Cursor {
    /// Where feeds stand
    Show(CursorShow),
    /// Read a feed again from an earlier position. What has not changed since it was published is not sent again
    /// (`bus resend` does that); what the source holds in another form than was published is
    Rewind(CursorRewind),
}

#[derive(Debug, Args)]
pub struct CursorShow {
    #[command(flatten)]
    pub config: Config,
    /// Only this feed
    pub feed: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CursorRewind {
    #[command(flatten)]
    pub config: Config,
    /// The feed
    pub feed: String,
    /// A value of the cursor column: everything from there on is read again
    #[arg(long, value_name = "VALUE")]
    pub to: String,
    /// Also to a position ahead of the present one: what lies between is never read
    #[arg(long)]
    pub skip: bool,
    /// Even if a batch is sealed that has to be published first, of a feed that does not run: the batch is given up, and
    /// its records go out as they are read next. Go back far enough that they are
    #[arg(long)]
    pub force: bool,
}
