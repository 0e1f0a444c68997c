//! `milepost serve`: its flags.
//!
//! A flag is a setting that wins; it takes what the setting takes.

use clap::Args;

use super::InstallationArgs;
use crate::config::Sources;

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    place: InstallationArgs,
    /// Address and port; port 0 = any free one. By default 127.0.0.1:3000.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// all, web or worker; the latter two need Postgres.
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Items at once; by default the number of processors.
    #[arg(long, value_name = "N")]
    slots: Option<String>,
    /// Name of the node; by default the host's name and a short suffix.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Serve {
    pub(super) fn sources(&self) -> Sources {
        let mut sources = self.place.sources();
        for (flag, key, value) in [
            ("--listen", "listen", &self.listen),
            ("--role", "role", &self.role),
            ("--slots", "slots", &self.slots),
            ("--name", "name", &self.name),
        ] {
            if let Some(value) = value {
                sources.flags.push((flag, "server", key, value.clone()));
            }
        }
        sources
    }
}
