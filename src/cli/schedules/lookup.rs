//! A schedule by what it is called on the command line.

use crate::cli::CliError;
use crate::cli::api_client::ApiClient;
use crate::protocol::limits::PAGE_ROWS_MAX;
use crate::protocol::{ScheduleId, SchedulePage};

/// The id of the schedule that `called` names: by its id, or by its name if only one has it.
///
/// # Errors
/// Where there is none, or several, that the token may see; where the server does not answer.
pub(super) async fn find(client: &ApiClient, called: &str) -> Result<ScheduleId, CliError> {
    if let Ok(id) = called.parse() {
        return Ok(id);
    }
    let mut found = Vec::new();
    let mut query = vec![("limit", PAGE_ROWS_MAX.to_string())];
    loop {
        let page: SchedulePage = client.get("/schedules", &query).await?;
        let named = page.schedules.into_iter().filter(|schedule| schedule.name == called);
        found.extend(named.map(|schedule| schedule.id));
        let Some(cursor) = page.next else { break };
        query.truncate(1);
        query.push(("cursor", cursor));
    }
    match found.as_slice() {
        [id] => Ok(*id),
        [] => Err(CliError::Argument(format!("there is no schedule {called:?} that this token may see"))),
        several => {
            let ids: Vec<String> = several.iter().map(ToString::to_string).collect();
            let detail =
                format!("several schedules are called {called:?}: name one by its id: {}", ids.join(", "));
            Err(CliError::Argument(detail))
        }
    }
}
