//! Commands about batches on a server: what is there, the acts of the page, and results to take home.
//!
//! ```text
//! lookup   a number or id -> the batch      list, show   what is there      act   pause, resume, cancel, retry      results   to a file
//! ```

mod act;
mod list;
mod lookup;
mod results;
mod show;

use std::time::Duration;

use clap::Args;

pub(super) use self::act::{ActArgs, CancelArgs, RetryArgs, cancel, pause, resume, retry};
pub(super) use self::list::{ListArgs, list};
pub(super) use self::lookup::find as find_batch;
pub(super) use self::results::{ResultsArgs, results};
pub(super) use self::show::{ShowArgs, show};
use super::CliError;
use super::api_client::ApiClient;
use super::reach::Reach;

/// Which server, and how patiently: the same for every command that asks one question.
#[derive(Debug, Args)]
pub(super) struct AskArgs {
    #[command(flatten)]
    reach: Reach,
    /// Gives up after so many seconds without contact.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    give_up: u32,
}

impl AskArgs {
    /// Whom to ask.
    ///
    /// # Errors
    /// Where no server or token is named as it should be.
    pub(in crate::cli) fn client(self) -> Result<ApiClient, CliError> {
        Ok(ApiClient::new(self.reach.server()?, Duration::from_secs(self.give_up.into()))?)
    }
}
