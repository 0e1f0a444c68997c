//! Acts over many batches in words: how far one has come, and what came of it.

use super::{counted, shown, thousands};
use crate::protocol::{BatchAct, BulkAct, BulkReason, BulkRefusal, BulkState};

/// How far an act has come, or what came of it: `Cancelling 12 batches: 5 of 12`, `Cancelled 11 of 12; 1 had ended by itself`.
#[must_use]
pub fn many(act: &BulkAct) -> String {
    let (total, looked) = (thousands(act.total), thousands(act.looked()));
    let doing = match act.act {
        BatchAct::Pause => "Pausing",
        BatchAct::Resume => "Resuming",
        BatchAct::Cancel => "Cancelling",
        BatchAct::Retry => "Retrying what failed of",
        BatchAct::Delete => "Deleting",
    };
    let did = match act.act {
        BatchAct::Pause => "Paused",
        BatchAct::Resume => "Resumed",
        BatchAct::Cancel => "Cancelled",
        BatchAct::Retry => "Retried what failed of",
        BatchAct::Delete => "Deleted",
    };
    let mut text = match act.state {
        BulkState::Running => return format!("{doing} {}: {looked} of {total}", counted(act.total, "batch")),
        BulkState::Done if act.done == act.total => format!("{did} {}", counted(act.total, "batch")),
        BulkState::Done => format!("{did} {} of {total}", thousands(act.done)),
        BulkState::Aborted => format!("Aborted. {did} {} of {total}", thousands(act.done)),
        BulkState::Failed => format!("Stopped. {did} {} of {total}", thousands(act.done)),
    };
    for refusal in &act.refusals {
        text.push_str("; ");
        text.push_str(&left(act.act, refusal));
    }
    if let Some(failure) = &act.failure {
        text.push_str(". ");
        text.push_str(&shown(failure));
    }
    text
}

/// Why some were left as they are: `1 had ended by itself`.
fn left(act: BatchAct, refusal: &BulkRefusal) -> String {
    let one = refusal.count == 1;
    let why = match (refusal.reason, one) {
        (BulkReason::Ended, true) => "had ended by itself",
        (BulkReason::Ended, false) => "had ended by themselves",
        (BulkReason::NotFinished, _) => "had not finished",
        (BulkReason::WrongState, true) if act == BatchAct::Resume => "was not paused",
        (BulkReason::WrongState, false) if act == BatchAct::Resume => "were not paused",
        (BulkReason::WrongState, true) => "was being cancelled",
        (BulkReason::WrongState, false) => "were being cancelled",
        (BulkReason::NotAllowed, true) => "is not yours to act on",
        (BulkReason::NotAllowed, false) => "are not yours to act on",
        (BulkReason::NotFound, true) => "was gone",
        (BulkReason::NotFound, false) => "were gone",
    };
    format!("{} {why}", thousands(refusal.count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{BatchId, BulkActId, Timestamp};

    #[test]
    fn an_act_over_many_says_how_far_it_is_and_what_came_of_it() {
        let mut act = BulkAct {
            id: BulkActId::from_u128(1),
            act: BatchAct::Cancel,
            by: "ada".to_owned(),
            state: BulkState::Running,
            total: 12,
            done: 5,
            refused: 0,
            refusals: Vec::new(),
            failure: None,
            created_at: Timestamp(0),
            ended_at: None,
        };
        assert_eq!(many(&act), "Cancelling 12 batches: 5 of 12");
        act.done = 11;
        act.refuse(BulkReason::Ended, BatchId::from_u128(2));
        act.state = BulkState::Done;
        assert_eq!(many(&act), "Cancelled 11 of 12; 1 had ended by itself");
        act.done = 8;
        (0..2).for_each(|_| act.refuse(BulkReason::NotFound, BatchId::from_u128(2)));
        act.refuse(BulkReason::WrongState, BatchId::from_u128(2));
        assert_eq!(
            many(&act),
            "Cancelled 8 of 12; 1 had ended by itself; 2 were gone; 1 was being cancelled"
        );
        act.refusals.clear();
        (act.state, act.act, act.total, act.done) = (BulkState::Done, BatchAct::Retry, 1, 1);
        assert_eq!(many(&act), "Retried what failed of 1 batch");
        (act.state, act.total, act.act) = (BulkState::Aborted, 3, BatchAct::Delete);
        assert_eq!(many(&act), "Aborted. Deleted 1 of 3");
    }
}
