//! Reads the inputs of leases ahead of the slots.

use std::sync::Arc;
use std::time::Duration;

use super::dispatcher::Dispatcher;
use crate::engine::flow::Load;
use crate::engine::supervisor::Loops;
use crate::store::{InputRecord, Store, StoreError};

/// Pause after a load that failed.
const LOAD_AGAIN: Duration = Duration::from_millis(500);

/// Loads inputs.
pub struct InputLoader {
    pub store: Store,
    pub dispatcher: Arc<Dispatcher>,
    pub loops: Loops,
}

impl InputLoader {
    /// Loads until the engine stops.
    pub async fn run(self) {
        let stop = self.loops.stop_token();
        loop {
            while let Some(load) = self.dispatcher.next_load() {
                match self.read(&load).await {
                    Ok(records) => self.dispatcher.loaded(load.lease, Some(records)),
                    Err(error) => {
                        self.dispatcher.loaded(load.lease, None);
                        self.loops.health().trouble("inputs cannot be read", &error);
                        tokio::time::sleep(LOAD_AGAIN).await;
                    }
                }
            }
            tokio::select! {
                () = self.dispatcher.wakes.load.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn read(&self, load: &Load) -> Result<Vec<InputRecord>, StoreError> {
        let items: u64 = load.ranges.iter().map(|range| range.count()).sum();
        let records = self.store.inputs_of(&load.record, &load.ranges).await?;
        if records.len() as u64 != items {
            let (batch, found) = (load.batch.key, records.len());
            return Err(StoreError::Invariant(format!("{items} items of batch {batch} have {found} inputs")));
        }
        let bytes: usize = records.iter().map(|record| record.json.as_str().len()).sum();
        load.batch.input_bytes.add(bytes as u64 / items.max(1));
        Ok(records)
    }
}
