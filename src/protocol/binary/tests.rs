//! The compact codec's promises: what is put is what is taken, parts make the whole, and no bytes harm.

use proptest::prelude::*;

use super::*;
use crate::protocol::{
    Batch, BatchId, BatchRetry, BatchState, ClientFrame, FamilyId, FileRow, ItemLive, ItemProgress, ItemRow,
    ItemState, Json, LogPart, NodeId, PulseBucket, StripCell, Timestamp,
};

fn there_and_back<T: Compact + PartialEq + std::fmt::Debug>(value: &T) {
    let mut out = Vec::new();
    value.put(&mut out);
    let mut input = Input(&out);
    assert_eq!(T::take(&mut input).as_ref(), Ok(value));
    assert!(input.0.is_empty(), "{value:?} left {:?}", input.0);
}

fn id() -> BatchId {
    BatchId::from_u128(0x0198_a7b0_1c2d_7e3f_8a4b_5c6d_7e8f_9a0b)
}

fn retry() -> impl Strategy<Value = BatchRetry> {
    (text(), any::<i64>(), any::<[u64; 4]>()).prop_map(|(by, at, [items, succeeded, failed, cancelled])| {
        BatchRetry { by, at: Timestamp(at), items, succeeded, failed, cancelled }
    })
}

/// A batch of a million items on its way, as it stands at `succeeded`.
fn batch(succeeded: u64, rev: Rev) -> Batch {
    Batch {
        id: id(),
        number: 128,
        name: "June photos".to_owned(),
        task: "thumbnail".to_owned(),
        params: Json::parse(r#"{"width":320}"#).unwrap(),
        owner: "ada".to_owned(),
        parent: None,
        schedule: None,
        state: BatchState::Running,
        reason: None,
        sealed: true,
        expected: None,
        rev,
        total: 1_000_000,
        pending: 1_000_000 - 8 - succeeded,
        running: 8,
        retrying: 0,
        succeeded,
        failed: 0,
        cancelled: 0,
        rate_per_s: Some(41.2),
        eta_ms: Some((870_000, 1_140_000)),
        created_at: Timestamp(1_769_852_460_123),
        start_at: None,
        started_at: Some(Timestamp(1_769_852_461_000)),
        finished_at: None,
        rested_ms: 0,
        retry: None,
    }
}

#[test]
fn a_watched_update_is_24_bytes_at_most() {
    let (old, mut new) = (batch(412_000, 20_415), batch(412_400, 20_417));
    new.rate_per_s = Some(4_012.0);
    new.eta_ms = Some((861_000, 1_133_000));
    new.running = 7;
    new.pending += 1;
    let which = old.differing(&new);
    let topic = Topic::Batch(id());
    let row = Row::Batch(Box::new(new.clone()));
    let bytes = update(topic, 3, new.rev, &[(&row, Some(which))], &[]);
    assert!(bytes.len() <= 24, "{} bytes: {bytes:?}", bytes.len());
    let mut channels = Channels::default();
    channels.read(&current(topic, 3, old.rev)).unwrap();
    let Ok(BinaryFrame::Update { changes, rev, .. }) = channels.read(&bytes) else { panic!() };
    let [Change::Part { row: Row::Batch(part), which }] = changes.as_slice() else { panic!("{changes:?}") };
    let mut shown = old;
    shown.assign(*which, part);
    assert_eq!((shown, rev), (new, 20_417));
}

#[test]
fn a_channel_is_known_by_its_answer_only() {
    let row =
        Row::Cell(StripCell { cell: 1, first: 1, last: 9, succeeded: 1, failed: 0, cancelled: 0, rev: 4 });
    let topic = Topic::Strip(id());
    let bytes = update(topic, 7, 4, &[(&row, None)], &[Key::Number(3)]);
    let mut channels = Channels::default();
    assert!(channels.read(&bytes).is_err());
    let answer = channels.read(&snapshot(topic, 7, 3, [&row].into_iter())).unwrap();
    assert_eq!(answer, BinaryFrame::Frame(ServerFrame::Snapshot { topic, rev: 3, rows: vec![row.clone()] }));
    let gone = vec![Key::Number(3)];
    let told = BinaryFrame::Update { topic, rev: 4, changes: vec![Change::Whole(row)], gone };
    assert_eq!(channels.read(&bytes), Ok(told));
    let mut longer = bytes;
    longer.push(0);
    assert!(channels.read(&longer).is_err(), "a frame is read to its last byte");
}

fn text() -> impl Strategy<Value = String> {
    "[a-zé\"\\\\ ]{0,12}"
}

fn item() -> impl Strategy<Value = ItemRow> {
    let state = (0..ItemState::ALL.len()).prop_map(|at| ItemState::ALL[at]);
    let progress = prop::option::of((0.0..1.0_f64, prop::option::of(text())));
    let ends = (prop::option::of(text()), prop::option::of(text()), prop::option::of(any::<u64>()));
    let file = (text(), any::<u64>(), text()).prop_map(|(name, bytes, media_type)| FileRow {
        name,
        bytes,
        media_type,
    });
    (state, any::<u32>(), text(), progress, ends, prop::collection::vec(file, 0..3), any::<u64>()).prop_map(
        |(state, attempts, input, progress, (result, error, ms), files, rev)| ItemRow {
            seq: 41,
            state,
            attempts,
            input: Json::string(&input),
            progress: progress.map(|(fraction, note)| ItemProgress { fraction, note }),
            result: result.map(|text| Json::string(&text)),
            family: error.clone().map(FamilyId),
            node: error.clone().map(NodeId),
            error,
            ms,
            files,
            rev,
        },
    )
}

/// Part or whole, told on a topic and laid over what is shown: equal to the newer.
fn laid_over<R: Fields + Clone>(topic: Topic, old: &R, new: &R, wrap: fn(R) -> Row, open: fn(Row) -> R) -> R {
    let which = old.differing(new);
    let row = wrap(new.clone());
    let mut channels = Channels::default();
    channels.read(&current(topic, 1, 0)).unwrap();
    let bytes = update(topic, 1, row.rev(), &[(&row, Some(which)), (&row, None)], &[]);
    let Ok(BinaryFrame::Update { changes, .. }) = channels.read(&bytes) else { panic!() };
    let mut changes = changes.into_iter();
    let (Some(Change::Part { row: part, which: told }), Some(Change::Whole(whole))) =
        (changes.next(), changes.next())
    else {
        panic!()
    };
    assert!(told == which && whole == row && part.key() == row.key());
    let mut shown = old.clone();
    shown.assign(which, &open(part));
    shown
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn atoms_come_back(
        whole in any::<u64>(), small in any::<u32>(), signed in any::<i64>(), text in text(),
        range in any::<(u64, u64)>(), bits in any::<u64>(), tenths in 0u64..100_000_000,
    ) {
        there_and_back(&whole);
        there_and_back(&small);
        there_and_back(&Timestamp(signed));
        there_and_back(&text);
        there_and_back(&range);
        there_and_back(&Some(vec![text]));
        #[expect(clippy::cast_precision_loss, reason = "a number of tenths")]
        there_and_back(&(tenths as f64 / 10.0));
        let any = f64::from_bits(bits);
        if !any.is_nan() { there_and_back(&any); }
    }

    #[test]
    fn a_part_laid_over_the_old_row_is_the_new_row(old in item(), new in item()) {
        let topic = Topic::Items { batch: id(), from: 1, to: 50 };
        let open = |row| if let Row::Item(row) = row { *row } else { panic!() };
        let shown = laid_over(topic, &old, &new, |row| Row::Item(Box::new(row)), open);
        prop_assert_eq!(shown, new);
    }

    #[test]
    fn a_batch_s_pending_follows_from_its_other_counts(
        old in (0u64..900, 0u64..20), new in (0u64..900, 0u64..20, any::<u64>()),
        (retried, again) in (prop::option::of(retry()), prop::option::of(retry())),
    ) {
        let counted = |succeeded: u64, failed: u64, rev| {
            let mut row = batch(succeeded, rev);
            (row.total, row.failed) = (1_000, failed);
            row.pending = 1_000 - 8 - succeeded - failed;
            row
        };
        let (mut old, mut new) = (counted(old.0, old.1, 1), counted(new.0, new.1, new.2));
        (old.retry, new.retry, new.rested_ms) = (retried, again, 1);
        let open = |row| if let Row::Batch(row) = row { *row } else { panic!() };
        for topic in [Topic::Batch(id()), Topic::Batches] {
            let shown = laid_over(topic, &old, &new, |row| Row::Batch(Box::new(row)), open);
            prop_assert_eq!(&shown, &new);
        }
    }

    #[test]
    fn a_log_goes_on_by_its_offset(row in item(), start in text(), more in text()) {
        let live = |text: &str, from| ItemLive {
            row: row.clone(), history: Vec::new(), started_at: None, log: LogPart { from, text: text.to_owned() },
        };
        let (old, whole) = (live(&start, 0), live(&format!("{start}{more}"), 0));
        let since = live(&more, start.len() as u64);
        let topic = Topic::Item { batch: id(), seq: 41 };
        let open = |row| if let Row::ItemLive(item) = row { *item } else { panic!() };
        let shown = laid_over(topic, &old, &since, |item| Row::ItemLive(Box::new(item)), open);
        prop_assert_eq!(shown, whole);
    }

    #[test]
    fn a_time_bucket_is_told_by_what_changed(old in (0u64..900, 0u64..20), new in (0u64..900, any::<u64>())) {
        let row = |succeeded, failed, rev| PulseBucket {
            bucket: 511, starts_at: Timestamp(1_769_852_460_000), ms: 4_000, succeeded, failed, rev,
        };
        let (old, new) = (row(old.0, old.1, 1), row(new.0, old.1, new.1));
        let open = |row| if let Row::Pulse(row) = row { row } else { panic!() };
        prop_assert_eq!(laid_over(Topic::Pulse(id()), &old, &new, Row::Pulse, open), new);
    }

    #[test]
    fn client_frames_come_back(name in text(), rev in prop::option::of(any::<u64>()), hz in 0.0..1e9_f64) {
        for frame in [
            ClientFrame::Subscribe { topic: name.clone(), rev },
            ClientFrame::Unsubscribe { topic: name },
            ClientFrame::Pong {},
            ClientFrame::Pace { hz },
        ] {
            prop_assert_eq!(client_frame(&of_client(&frame)), Ok(frame));
        }
    }

    #[test]
    fn no_bytes_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 1u8..8) {
        let mut channels = Channels::default();
        for (number, topic) in [Topic::Batches, Topic::Nodes, Topic::Strip(id()), Topic::Pulse(id())].into_iter().enumerate() {
            channels.read(&current(topic, number as u64, 1)).unwrap();
        }
        let _any = channels.read(&bytes);
        let _any = client_frame(&bytes);
        let mut framed = vec![kind];
        framed.extend_from_slice(&bytes);
        let _any = channels.read(&framed);
        let _any = client_frame(&framed);
    }
}
