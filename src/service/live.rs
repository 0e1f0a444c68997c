//! The answer to a subscribe: all rows of a topic as of one moment.
//!
//! A topic that is not there and one that may not be seen answer alike; rows are what the pages of the same caller
//! show.

use super::{Action, Caller, Service, Target, may};
use crate::hub::Audience;
use crate::protocol::limits::{LISTED_BATCHES_MAX, PAGE_ROWS_MAX, WINDOW_ITEMS_MAX};
use crate::protocol::{ApiError, BatchState, ErrorCode, ItemRow, Rev, Row, Topic};
use crate::store::{BatchFilter, BatchRecord};

/// Unfinished batches in one snapshot of `batches`; older ones beyond are left out until something in them changes.
const UNFINISHED_LISTED_MAX: usize = 10_000;

/// Rows of a topic as of one moment.
#[derive(Debug)]
pub struct TopicRows {
    /// Revision that the rows show; 0 on topics that count by the clock.
    pub rev: Rev,
    /// The rows; none where the page has them all already.
    pub rows: Option<Vec<(Row, Audience)>>,
}

/// What can be refused by the topic alone, before anything is read or registered.
///
/// # Errors
/// `too_large` for a window over the limit.
pub fn check_topic(topic: Topic) -> Result<(), ApiError> {
    match topic {
        Topic::Items { from, to, .. } if to - from >= WINDOW_ITEMS_MAX => {
            let detail = format!("A window has at most {WINDOW_ITEMS_MAX} items.");
            Err(ApiError::new(ErrorCode::TooLarge, detail))
        }
        Topic::Batches
        | Topic::Batch(_)
        | Topic::Progress(_)
        | Topic::Items { .. }
        | Topic::Strip(_)
        | Topic::Families(_)
        | Topic::Pulse(_)
        | Topic::Item { .. }
        | Topic::Nodes => Ok(()),
    }
}

/// What it takes to listen to a topic.
#[must_use]
pub fn topic_action(topic: Topic) -> Action {
    match topic {
        // Its rows go to all who listen alike: whoever reaches some batches only hears of each by its own topic.
        Topic::Batches => Action::SeeCounts,
        Topic::Nodes => Action::SeeNodes,
        Topic::Progress(_) | Topic::Strip(_) => Action::SeeProgress,
        Topic::Batch(_) | Topic::Items { .. } | Topic::Families(_) | Topic::Pulse(_) | Topic::Item { .. } => {
            Action::SeeBatch
        }
    }
}

impl Service {
    /// All rows of a topic as of one moment: the answer to a subscribe. Authorises.
    ///
    /// # Errors
    /// `not_found` (not there, or not visible), `too_large`, outages.
    pub async fn topic(&self, caller: &Caller, topic: Topic) -> Result<(Rev, Vec<Row>), ApiError> {
        let TopicRows { rev, rows } = self.topic_since(caller, topic, None).await?;
        Ok((rev, rows.unwrap_or_default().into_iter().map(|(row, _)| row).collect()))
    }

    /// As [`Service::topic`], with who may hear each row; without rows where the caller's page shows `known` and the
    /// batch still stands there.
    ///
    /// # Errors
    /// As [`Service::topic`].
    pub async fn topic_since(
        &self,
        caller: &Caller,
        topic: Topic,
        known: Option<Rev>,
    ) -> Result<TopicRows, ApiError> {
        check_topic(topic)?;
        if let (Some(batch), Some(known)) = (topic.batch(), known) {
            let record = self.allowed(caller, topic_action(topic), batch).await.map_err(hide)?;
            // An item's page knows no revision of the batch that its log and history are as of.
            if record.rev == known && !matches!(topic, Topic::Item { .. }) {
                return Ok(TopicRows { rev: known, rows: None });
            }
        }
        let (rev, rows) = self.read(caller, topic).await.map_err(hide)?;
        Ok(TopicRows { rev, rows: Some(rows) })
    }

    async fn read(&self, caller: &Caller, topic: Topic) -> Result<(Rev, Vec<(Row, Audience)>), ApiError> {
        let (rev, rows) = match topic {
            Topic::Batches => return Ok((0, self.listed(caller).await?)),
            Topic::Nodes => {
                let nodes = self.nodes(caller).await?.nodes;
                (0, nodes.into_iter().map(|node| Row::Node(Box::new(node))).collect())
            }
            Topic::Batch(id) => {
                let batch = self.parts().engine.wire(&self.visible(caller, id).await?);
                (batch.rev, vec![Row::Batch(Box::new(batch))])
            }
            Topic::Progress(id) => {
                let batch = self.parts().engine.wire(&self.progressing(caller, id).await?).progress();
                (batch.rev, vec![Row::Batch(Box::new(batch))])
            }
            Topic::Items { batch, from, to } => {
                let page = self.window(caller, batch, from, to).await?;
                let row = |mut item: ItemRow| {
                    item.shorten();
                    Row::Item(Box::new(item))
                };
                (page.rev, page.items.into_iter().map(row).collect())
            }
            Topic::Strip(id) => {
                let (rev, cells) = self.strip(caller, id).await?;
                (rev, cells.into_iter().map(Row::Cell).collect())
            }
            Topic::Families(id) => {
                let page = self.families(caller, id).await?;
                (page.rev, page.families.into_iter().map(Row::Family).collect())
            }
            Topic::Item { batch, seq } => {
                // Read before the item: what the item shows is at least as new.
                let rev = self.visible(caller, batch).await?.rev;
                (rev, vec![Row::ItemLive(Box::new(self.item_live(caller, batch, seq).await?))])
            }
            Topic::Pulse(id) => {
                let (rev, buckets) = self.pulse(caller, id).await?;
                (rev, buckets.into_iter().map(Row::Pulse).collect())
            }
        };
        let rows: Vec<Row> = rows;
        Ok((rev, rows.into_iter().map(|row| (row, Audience::Everyone)).collect()))
    }

    /// All unfinished batches and the newest finished, as the caller may see them.
    async fn listed(&self, caller: &Caller) -> Result<Vec<(Row, Audience)>, ApiError> {
        may(caller, topic_action(Topic::Batches), Target::Installation)?;
        let (finished, unfinished): (Vec<_>, Vec<_>) =
            BatchState::ALL.into_iter().partition(|state| state.is_finished());
        let mut records = self.list_states(caller, unfinished, UNFINISHED_LISTED_MAX).await?;
        records.extend(self.list_states(caller, finished, LISTED_BATCHES_MAX).await?);
        // One that finished between the two reads is in both: the second is the newer.
        let rows = records.into_iter().rev().map(|record| {
            let private_of = record.options.private.then_some(record.owner.as_str());
            let audience = self.parts().hub.audience(&record.task, private_of);
            (Row::Batch(Box::new(self.parts().engine.wire(&record))), audience)
        });
        let mut seen = std::collections::HashSet::new();
        Ok(rows.filter(|(row, _)| seen.insert(row.key())).collect())
    }

    async fn list_states(
        &self,
        caller: &Caller,
        states: Vec<BatchState>,
        most: usize,
    ) -> Result<Vec<BatchRecord>, ApiError> {
        let mut records: Vec<BatchRecord> = Vec::new();
        let mut before = None;
        while records.len() < most {
            let left = u32::try_from(most - records.len()).unwrap_or(PAGE_ROWS_MAX);
            let filter = BatchFilter {
                viewer: caller.viewer(),
                states: states.clone(),
                with_failures: false,
                task: None,
                owner: None,
                text: None,
                parent: None,
                number: None,
                before,
                limit: left.min(PAGE_ROWS_MAX),
            };
            let list = self.parts().store.list(filter).await?;
            records.extend(list.batches);
            before = list.next;
            if before.is_none() {
                break;
            }
        }
        Ok(records)
    }
}

/// A topic of something that may not be seen answers as one of something that is not there.
fn hide(error: ApiError) -> ApiError {
    match error.code {
        ErrorCode::NotFound | ErrorCode::NotAllowed | ErrorCode::Invalid => ApiError::not_found("topic"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::BatchId;

    #[test]
    fn windows_are_bounded_before_anything_is_read() {
        let batch = BatchId::from_u128(1);
        assert_eq!(check_topic(Topic::Items { batch, from: 1, to: 500 }), Ok(()));
        let over = check_topic(Topic::Items { batch, from: 1, to: 501 }).unwrap_err();
        assert_eq!(over.code, ErrorCode::TooLarge);
    }
}
