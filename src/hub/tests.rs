//! The hub's promises, by feeding it rows and reading frames.

mod tempo;
mod strip;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::protocol::binary::{BinaryFrame, Change, Channels, Fields as _};
use crate::protocol::{
    Batch, BatchState, Codec, ItemRow, ItemState, Json, ServerFrame, StripCell, Timestamp,
};
use crate::store::Viewer;

/// The longest that a tick can be.
const TICK: Duration = TICK_DEFAULT;

fn viewer(name: &str) -> Viewer {
    Viewer::of(name.to_owned(), name == "admin")
}

fn id(number: u64) -> BatchId {
    BatchId::from_u128(u128::from(number))
}

fn strip() -> Topic {
    Topic::Strip(id(1))
}

fn cell(cell: u32, succeeded: u64, rev: Rev) -> (Row, Audience) {
    let row = StripCell { cell, first: 1, last: 9, succeeded, failed: 0, cancelled: 0, rev };
    (Row::Cell(row), Audience::Everyone)
}

fn batch(number: u64, state: BatchState, rev: Rev, audience: Audience) -> (Row, Audience) {
    let batch = Batch {
        id: id(number),
        number,
        name: String::new(),
        task: String::new(),
        params: Json::default(),
        owner: "ada".to_owned(),
        parent: None,
        schedule: None,
        state,
        reason: None,
        sealed: true,
        expected: None,
        rev,
        total: 1,
        pending: 1,
        running: 0,
        retrying: 0,
        succeeded: 0,
        failed: 0,
        cancelled: 0,
        rate_per_s: None,
        eta_ms: None,
        created_at: Timestamp(0),
        start_at: None,
        started_at: None,
        finished_at: None,
        rested_ms: 0,
        retry: None,
    };
    (Row::Batch(Box::new(batch)), audience)
}

/// A hub under a time that only the test moves.
struct World {
    hub: Hub,
    now: Instant,
}

impl World {
    fn new() -> Self {
        // So far ahead that the hub's own timer stays out of it.
        Self { hub: Hub::new(TICK), now: Instant::now() + Duration::from_secs(3600) }
    }

    fn publish(&self, topic: Topic, rev: Rev, rows: Vec<(Row, Audience)>, gone: &[Key]) {
        self.hub.publish_at(topic, rev, rows, gone, self.now);
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        if let Some(timer) = self.hub.timer().as_ref() {
            timer.release_due(self.now);
        }
    }

    /// Subscribes and answers with `rows` at `rev`.
    fn join(&self, session: &mut Session, topic: Topic, rev: Rev, rows: Vec<(Row, Audience)>) -> ServerFrame {
        session.subscribe(topic).unwrap();
        self.answer(session, topic, None, rev, Some(rows))
    }

    /// As [`World::join`], as it stands on the wire.
    fn join_bytes(
        &self,
        session: &mut Session,
        topic: Topic,
        rev: Rev,
        rows: Vec<(Row, Audience)>,
    ) -> WireFrame {
        session.subscribe(topic).unwrap();
        match session.answer_at(topic, None, rev, Some(rows), self.now) {
            SubscribeAnswer::Frame(frame) => frame,
            other => panic!("{other:?}"),
        }
    }

    fn answer(
        &self,
        session: &mut Session,
        topic: Topic,
        known: Option<Rev>,
        rev: Rev,
        rows: Option<Vec<(Row, Audience)>>,
    ) -> ServerFrame {
        match session.answer_at(topic, known, rev, rows, self.now) {
            SubscribeAnswer::Frame(frame) => read(&frame),
            other => panic!("{other:?}"),
        }
    }

    fn frames(&self, session: &mut Session) -> Vec<ServerFrame> {
        session.turn(self.now).frames.iter().map(read).collect()
    }
}

fn read(frame: &WireFrame) -> ServerFrame {
    ServerFrame::from_json(std::str::from_utf8(frame.payload()).unwrap()).unwrap()
}

/// What a client shows that folds frames as documented.
#[derive(Default)]
struct Client {
    rev: Rev,
    rows: BTreeMap<Key, Row>,
    /// For one that speaks the compact codec.
    channels: Channels,
}

impl Client {
    /// A frame of strip cells as it stands on the wire.
    fn take_bytes(&mut self, codec: Codec, frame: &WireFrame) {
        let (rev, changes, gone) = match codec {
            Codec::Json => return self.take(read(frame)),
            Codec::Binary => match self.channels.read(frame.payload()).unwrap() {
                BinaryFrame::Frame(frame) => return self.take(frame),
                BinaryFrame::Update { rev, changes, gone, .. } => (rev, changes, gone),
            },
        };
        let rows = changes.into_iter().map(|change| match change {
            Change::Whole(row) => row,
            Change::Part { row, which } => {
                let (Some(Row::Cell(held)), Row::Cell(part)) = (self.rows.get(&row.key()), &row) else {
                    panic!("a part of what was never told: {row:?}")
                };
                let mut whole = held.clone();
                whole.assign(which, part);
                Row::Cell(whole)
            }
        });
        let rows = rows.collect();
        self.take(ServerFrame::Update { topic: strip(), rev, rows, gone });
    }

    fn take(&mut self, frame: ServerFrame) {
        let (new_rev, rows, gone) = match frame {
            ServerFrame::Snapshot { rev, rows, .. } => {
                self.rows.clear();
                (rev, rows, Vec::new())
            }
            ServerFrame::Update { rev, rows, gone, .. } => (rev, rows, gone),
            other => panic!("{other:?}"),
        };
        assert!(new_rev >= self.rev, "rev went back from {} to {new_rev}", self.rev);
        self.rev = new_rev;
        for row in rows {
            self.rows.insert(row.key(), row);
        }
        for key in gone {
            self.rows.remove(&key);
        }
    }
}

#[tokio::test]
async fn nothing_is_held_where_nobody_listens() {
    let world = World::new();
    world.publish(strip(), 1, vec![cell(0, 1, 1)], &[]);
    assert!(!world.hub.is_watched(strip()));
    let mut session = world.hub.session(viewer("ada"), Codec::Json);
    session.subscribe(strip()).unwrap();
    session.subscribe(Topic::Items { batch: id(1), from: 1, to: 50 }).unwrap();
    assert_eq!(world.hub.watched_batches(), [id(1)]);
    assert_eq!(world.hub.windows(id(1)), [(1, 50)]);
    drop(session);
    assert!(world.hub.watched_batches().is_empty() && !world.hub.is_watched(strip()));
}

#[tokio::test]
async fn first_change_goes_at_once_then_at_the_tick() {
    let mut world = World::new();
    let mut session = world.hub.session(viewer("ada"), Codec::Json);
    world.join(&mut session, strip(), 1, vec![cell(0, 0, 1)]);
    world.publish(strip(), 2, vec![cell(0, 1, 2)], &[]);
    session.wake_signal().notified().await;
    assert_eq!(world.frames(&mut session).len(), 1, "at once");
    for rev in 3..50 {
        world.publish(strip(), rev, vec![cell(0, rev, rev), cell(1, rev, rev)], &[]);
        assert_eq!(world.frames(&mut session).len(), 0);
    }
    world.advance(TICK);
    session.wake_signal().notified().await;
    let told = world.frames(&mut session);
    let [ServerFrame::Update { rev, rows, .. }] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((*rev, rows.len()), (49, 2), "47 publishes, one frame of two rows");
    world.advance(TICK);
    assert!(world.frames(&mut session).is_empty());
}

#[tokio::test]
async fn a_slow_session_gets_the_newest_only() {
    let mut world = World::new();
    let mut slow = world.hub.session(viewer("ada"), Codec::Json);
    slow.set_pace(0.2).unwrap();
    world.join(&mut slow, strip(), 1, vec![]);
    world.publish(strip(), 2, vec![cell(0, 2, 2)], &[]);
    assert_eq!(world.frames(&mut slow).len(), 1);
    world.publish(strip(), 3, vec![cell(0, 3, 3)], &[]);
    world.advance(Duration::from_secs(4));
    let turn = slow.turn(world.now);
    assert!(turn.frames.is_empty() && turn.next.is_some());
    world.publish(strip(), 4, vec![cell(0, 4, 4)], &[]);
    world.advance(Duration::from_secs(2));
    let told = world.frames(&mut slow);
    let [ServerFrame::Update { rows, .. }] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(*rows, [cell(0, 4, 4).0]);
    slow.set_pace(0.0).unwrap();
    world.publish(strip(), 5, vec![cell(0, 5, 5)], &[]);
    world.advance(Duration::from_secs(60));
    assert!(world.frames(&mut slow).is_empty());
    slow.set_pace(60.0).unwrap();
    assert_eq!(world.frames(&mut slow).len(), 1);
    assert_eq!(slow.set_pace(-1.0), Err(Refused::BadPace));
}

#[tokio::test]
async fn sessions_that_are_up_to_date_share_a_frame() {
    let world = World::new();
    let mut sessions: Vec<Session> = (0..3).map(|_| world.hub.session(viewer("ada"), Codec::Json)).collect();
    for session in &mut sessions {
        world.join(session, strip(), 1, vec![]);
    }
    world.publish(strip(), 2, vec![cell(0, 2, 2)], &[]);
    let told: Vec<_> = sessions.iter_mut().flat_map(|session| session.turn(world.now).frames).collect();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|frame| frame.whole().as_ptr() == told[0].whole().as_ptr()), "encoded once");
}

#[tokio::test]
async fn older_rows_never_replace_newer_and_equal_ones_do() {
    let mut world = World::new();
    let window = Topic::Items { batch: id(1), from: 1, to: 9 };
    let item = |state, rev, fraction| {
        let row = ItemRow {
            seq: 1,
            state,
            attempts: 1,
            input: Json::default(),
            progress: Some(crate::protocol::ItemProgress { fraction, note: None }),
            result: None,
            error: None,
            family: None,
            ms: None,
            node: None,
            files: Vec::new(),
            rev,
        };
        (Row::Item(Box::new(row)), Audience::Everyone)
    };
    let mut session = world.hub.session(viewer("ada"), Codec::Json);
    world.join(&mut session, window, 5, vec![item(ItemState::Running, 5, 0.1)]);
    world.publish(window, 5, vec![item(ItemState::Running, 5, 0.2)], &[]);
    assert_eq!(world.frames(&mut session).len(), 1);
    world.publish(window, 4, vec![item(ItemState::Pending, 4, 0.0)], &[]);
    world.publish(window, 5, vec![item(ItemState::Running, 5, 0.2)], &[]);
    world.advance(TICK * 2);
    assert!(world.frames(&mut session).is_empty());
}

#[tokio::test]
async fn private_batches_are_heard_by_their_owner_and_admins() {
    let mut world = World::new();
    let mut sessions: Vec<Session> =
        ["ada", "bob", "admin"].map(|name| world.hub.session(viewer(name), Codec::Json)).into();
    for session in &mut sessions {
        world.join(session, Topic::Batches, 0, vec![]);
    }
    let private = batch(1, BatchState::Running, 2, Audience::Owner("ada".to_owned()));
    world.publish(Topic::Batches, 2, vec![private], &[]);
    let told: Vec<usize> = sessions.iter_mut().map(|session| world.frames(session).len()).collect();
    assert_eq!(told, [1, 0, 1]);
    world.advance(TICK);
    world.publish(Topic::Batches, 3, vec![], &[Key::Text(id(1).to_string())]);
    let told: Vec<usize> = sessions.iter_mut().map(|session| world.frames(session).len()).collect();
    assert_eq!(told, [1, 0, 1], "that a private batch is gone is private too");
}

#[tokio::test]
async fn batches_keeps_the_newest_finished() {
    let mut world = World::new();
    let mut session = world.hub.session(viewer("ada"), Codec::Json);
    let finished = |number| batch(number, BatchState::Succeeded, 1, Audience::Everyone);
    let mut client = Client::default();
    let shown = (1..=200).map(finished).chain([batch(0, BatchState::Running, 1, Audience::Everyone)]);
    client.take(world.join(&mut session, Topic::Batches, 0, shown.collect()));
    for number in 201..=203 {
        world.publish(Topic::Batches, 0, vec![finished(number)], &[]);
        world.advance(TICK);
        world.frames(&mut session).into_iter().for_each(|frame| client.take(frame));
    }
    assert_eq!(client.rows.len(), 201);
    assert!(client.rows.contains_key(&Key::Text(id(0).to_string())), "unfinished ones stay");
    assert!(!client.rows.contains_key(&Key::Text(id(3).to_string())));
    for number in 1_000..3_000 {
        world.publish(Topic::Batches, 0, vec![finished(number)], &[]);
    }
    world.advance(TICK);
    let turn = session.turn(world.now);
    assert_eq!(turn.ask, [Topic::Batches], "who has missed too much gets a snapshot");
}

#[tokio::test]
async fn a_page_that_is_up_to_date_gets_no_rows() {
    let world = World::new();
    let mut session = world.hub.session(viewer("ada"), Codec::Json);
    session.subscribe(strip()).unwrap();
    let frame = world.answer(&mut session, strip(), Some(7), 7, None);
    assert_eq!(frame, ServerFrame::Update { topic: strip(), rev: 7, rows: vec![], gone: vec![] });
    assert_eq!(world.hub.published_rev(strip()), 7);
    world.publish(strip(), 8, vec![cell(0, 1, 8)], &[]);
    assert_eq!(world.frames(&mut session).len(), 1);
    let mut late = world.hub.session(viewer("ada"), Codec::Json);
    late.subscribe(strip()).unwrap();
    assert!(matches!(late.answer(strip(), Some(7), 7, None), SubscribeAnswer::Again));
    let frame = world.answer(&mut late, strip(), Some(9), 8, Some(vec![cell(0, 1, 8)]));
    assert!(matches!(frame, ServerFrame::Snapshot { rev: 8, .. }), "a rev above the server's");
    let mut listed = world.hub.session(viewer("ada"), Codec::Json);
    listed.subscribe(Topic::Nodes).unwrap();
    let frame = world.answer(&mut listed, Topic::Nodes, Some(0), 0, Some(vec![]));
    assert!(matches!(frame, ServerFrame::Snapshot { rev, .. } if rev > 1_600_000_000_000));
}

#[tokio::test]
async fn nothing_is_missed_between_subscribe_and_answer() {
    let mut world = World::new();
    let mut early = world.hub.session(viewer("ada"), Codec::Json);
    world.join(&mut early, strip(), 1, vec![]);
    let mut session = world.hub.session(viewer("ada"), Codec::Json);
    session.subscribe(strip()).unwrap();
    world.publish(strip(), 3, vec![cell(0, 3, 3), cell(1, 3, 3)], &[Key::Number(2)]);
    assert!(world.frames(&mut session).is_empty(), "not before the answer");
    // Read before the publish, but it holds a row that others have not heard of.
    let rows = vec![cell(0, 2, 2), cell(2, 2, 2), cell(5, 2, 2)];
    let mut client = Client::default();
    client.take(world.answer(&mut session, strip(), None, 2, Some(rows)));
    assert_eq!(client.rows.keys().cloned().collect::<Vec<_>>(), [0, 1, 5].map(Key::Number));
    assert_eq!(client.rows[&Key::Number(0)], cell(0, 3, 3).0);
    assert!(world.frames(&mut session).is_empty());
    world.advance(TICK);
    let mut other = Client::default();
    world.frames(&mut early).into_iter().for_each(|frame| other.take(frame));
    assert!(other.rows.contains_key(&Key::Number(5)), "what one was answered, all add_channel");
}

#[tokio::test]
async fn subscriptions_are_bounded() {
    let world = World::new();
    let mut session = world.hub.session(viewer("ada"), Codec::Json);
    for number in 0..200 {
        session.subscribe(Topic::Batch(id(number))).unwrap();
    }
    assert_eq!(session.subscribe(Topic::Batches), Err(Refused::TooMany));
    assert_eq!(session.subscribe(Topic::Batch(id(7))), Ok(()), "one that is heard already costs nothing");
    session.unsubscribe(Topic::Batch(id(7)));
    assert_eq!(session.subscribe(Topic::Batches), Ok(()));
}

#[derive(Clone, Debug)]
enum Step {
    Publish { cells: Vec<u32>, gone: Vec<u32> },
    Look(usize),
    Pace(usize, f64),
    Rejoin(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keys = || prop::collection::vec(0u32..6, 0..4);
    let step = prop_oneof![
        4 => (keys(), prop::collection::vec(0u32..6, 0..2))
            .prop_map(|(cells, gone)| Step::Publish { cells, gone }),
        3 => (0usize..2).prop_map(Step::Look),
        1 => (0usize..2, prop_oneof![Just(0.0), Just(1.0), Just(60.0)]).prop_map(|(who, hz)| Step::Pace(who, hz)),
        1 => (0usize..2).prop_map(Step::Rejoin),
        2 => (1u64..1_500).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// Whatever the codec, the pace and however often they look: folding the frames gives the newest rows.
    #[test]
    fn folded_frames_equal_the_newest_rows(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            let mut truth: BTreeMap<u32, (Row, Audience)> = BTreeMap::new();
            let mut rev = 1;
            let mut sessions = Codec::ALL.map(|codec| world.hub.session(viewer("ada"), codec));
            let mut clients = [Client::default(), Client::default()];
            for who in [0, 1] {
                let answer = world.join_bytes(&mut sessions[who], strip(), rev, vec![]);
                clients[who].take_bytes(Codec::ALL[who], &answer);
            }
            for step in steps {
                match step {
                    Step::Publish { cells, gone } => {
                        rev += 1;
                        let rows: Vec<_> = cells.iter().map(|at| cell(*at, rev, rev)).collect();
                        let gone: Vec<u32> = gone.into_iter().filter(|at| !cells.contains(at)).collect();
                        for row in &rows {
                            if let Row::Cell(cell) = &row.0 { truth.insert(cell.cell, row.clone()); }
                        }
                        for at in &gone { truth.remove(at); }
                        let gone: Vec<Key> = gone.into_iter().map(|at| Key::Number(at.into())).collect();
                        world.publish(strip(), rev, rows, &gone);
                    }
                    Step::Look(who) => {
                        let frames = sessions[who].turn(world.now).frames;
                        frames.iter().for_each(|frame| clients[who].take_bytes(Codec::ALL[who], frame));
                    }
                    Step::Pace(who, hz) => sessions[who].set_pace(hz).unwrap(),
                    Step::Rejoin(who) => {
                        sessions[who].unsubscribe(strip());
                        let rows = truth.values().cloned().collect();
                        let answer = world.join_bytes(&mut sessions[who], strip(), rev, rows);
                        clients[who].take_bytes(Codec::ALL[who], &answer);
                    }
                    Step::Wait(ms) => world.advance(Duration::from_millis(ms)),
                }
            }
            for who in [0, 1] {
                let (session, client) = (&mut sessions[who], &mut clients[who]);
                session.set_pace(60.0).unwrap();
                world.advance(TICK * 2);
                let frames = session.turn(world.now).frames;
                frames.iter().for_each(|frame| client.take_bytes(Codec::ALL[who], frame));
                let newest: Vec<Row> = truth.values().map(|(row, _)| row.clone()).collect();
                let shown: Vec<Row> = client.rows.values().cloned().collect();
                assert_eq!(shown, newest);
            }
        });
    }
}

#[tokio::test]
async fn a_turn_is_bounded_and_leaves_no_topic_behind() {
    let mut world = World::new();
    let long = |number: u64, rev: Rev| {
        let (row, audience) = batch(number, BatchState::Running, rev, Audience::Everyone);
        let Row::Batch(mut row) = row else { panic!("a batch") };
        row.name = "x".repeat(100_000);
        vec![(Row::Batch(row), audience)]
    };
    let mut session = world.hub.session(viewer("ada"), Codec::Json);
    for number in 1..=10 {
        world.join(&mut session, Topic::Batch(id(number)), 1, long(number, 1));
    }
    world.advance(TICK);
    (1..=10).for_each(|number| world.publish(Topic::Batch(id(number)), 2, long(number, 2), &[]));
    world.advance(TICK);
    let (mut told, mut turns) = (0, 0);
    while told < 10 {
        let turn = session.turn(world.now);
        assert!((1..=3).contains(&turn.frames.len()), "{} frames of 100 kB", turn.frames.len());
        (told, turns) = (told + turn.frames.len(), turns + 1);
        assert!(told == 10 || turn.next == Some(world.now), "there is more");
    }
    assert_eq!((told, turns), (10, 4), "each once");
}
