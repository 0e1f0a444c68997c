//! One request at a time adds to a file, and the newest goes first: after a cut the one before may still wait for bytes that
//! will never come.
//!
//! This holds within the process. Among several the row of the upload says who may, and a note of the others counts no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use crate::protocol::{ApiError, ErrorCode};

/// For so long a request may take to give way: it syncs what it has.
const GIVE_WAY: Duration = Duration::from_secs(20);

/// Who adds to which file now. Bounded by the connections.
#[derive(Clone, Default)]
pub struct Writers(Arc<Mutex<HashMap<String, Writer>>>);

/// The newest request for a file.
#[derive(Clone)]
struct Writer {
    overtaken: CancellationToken,
    turn: Arc<AsyncMutex<()>>,
}

/// The right to add to a file, for as long as it lives.
pub struct UploadTurn {
    writers: Writers,
    id: String,
    writer: Writer,
    _held: OwnedMutexGuard<()>,
}

impl Writers {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Writer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has whoever adds to the file stop, and waits for that.
    ///
    /// # Errors
    /// `busy` where it does not stop in time, or somebody newer came.
    pub async fn take_over(&self, id: &str) -> Result<UploadTurn, ApiError> {
        let overtaken = CancellationToken::new();
        let turn = {
            let mut writers = self.lock();
            let turn = writers.get(id).map_or_else(Default::default, |before| Arc::clone(&before.turn));
            let writer = Writer { overtaken: overtaken.clone(), turn: Arc::clone(&turn) };
            if let Some(before) = writers.insert(id.to_owned(), writer) {
                before.overtaken.cancel();
            }
            turn
        };
        let writer = Writer { overtaken, turn: Arc::clone(&turn) };
        let waited = tokio::select! {
            held = tokio::time::timeout(GIVE_WAY, turn.lock_owned()) => held.ok(),
            () = writer.overtaken.cancelled() => None,
        };
        match waited {
            Some(held) => Ok(UploadTurn { writers: self.clone(), id: id.to_owned(), writer, _held: held }),
            None => {
                self.forget(id, &writer);
                Err(overtaken_error())
            }
        }
    }

    /// Where nobody newer came.
    fn forget(&self, id: &str, writer: &Writer) {
        let mut writers = self.lock();
        if !writer.overtaken.is_cancelled() {
            writers.remove(id);
        }
    }
}

impl UploadTurn {
    /// Ready once somebody newer came.
    pub async fn overtaken(&self) {
        self.writer.overtaken.cancelled().await;
    }
}

impl Drop for UploadTurn {
    fn drop(&mut self) {
        self.writers.forget(&self.id, &self.writer);
    }
}

/// The refusal of a request while another one adds to the file.
pub fn overtaken_error() -> ApiError {
    ApiError::new(ErrorCode::Busy, "Another request is sending to this upload; ask for its offset.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_goes_first_and_nothing_is_left() {
        let writers = Writers::default();
        let first = writers.take_over("a").await.unwrap();
        let gives_way = tokio::spawn(async move { first.overtaken().await });
        let second = writers.take_over("a").await.unwrap();
        gives_way.await.unwrap();
        let other = writers.take_over("b").await.unwrap();
        assert_eq!(writers.lock().len(), 2);
        drop((second, other));
        assert_eq!(writers.lock().len(), 0);
    }
}
