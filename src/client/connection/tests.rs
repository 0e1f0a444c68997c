//! The state machine against a world that the test sets.

use super::*;
use crate::protocol::{BatchId, CloseCode};

const BATCH: Topic = Topic::Batch(BatchId::from_u128(1));
const STRIP: Topic = Topic::Strip(BatchId::from_u128(1));

struct World {
    now: Timestamp,
    is_hidden: bool,
    is_unfinished: bool,
    is_online: bool,
    topics: BTreeMap<Topic, Option<Rev>>,
}

impl World {
    fn new() -> Self {
        let topics = BTreeMap::from([(BATCH, Some(417)), (STRIP, None)]);
        Self { now: Timestamp(1_000_000), is_hidden: false, is_unfinished: true, is_online: true, topics }
    }

    fn pass(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
    }
}

impl LiveEnvironment for World {
    fn now(&self) -> Timestamp {
        self.now
    }
    /// Every delay is as long as it can be.
    fn random(&self) -> f64 {
        1.0
    }
    fn is_online(&self) -> bool {
        self.is_online
    }
    fn is_hidden(&self) -> bool {
        self.is_hidden
    }
    fn wanted_topics(&self) -> BTreeMap<Topic, Option<Rev>> {
        self.topics.clone()
    }
    fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }
}

fn welcome(attempt: u64) -> LiveEvent {
    LiveEvent::Received { attempt, frame: Incoming::Welcome { ping_ms: 20_000, build: "b".into() } }
}

fn subscribe(topic: Topic, rev: Option<Rev>) -> LiveEffect {
    LiveEffect::Send(ClientFrame::Subscribe { topic: topic.to_string(), rev })
}

/// A machine whose socket, attempt 1, is welcomed and subscribed.
fn open(world: &World) -> LiveConnection {
    let mut connection = LiveConnection::new(world.now, Transport::Socket);
    assert!(connection.handle(LiveEvent::Start, world).contains(&LiveEffect::OpenSocket { attempt: 1 }));
    let asked = connection.handle(LiveEvent::SocketOpened { attempt: 1 }, world);
    assert_eq!(asked, [subscribe(BATCH, Some(417)), subscribe(STRIP, None)]);
    let effects = connection.handle(welcome(1), world);
    assert_eq!(
        effects,
        [
            LiveEffect::ForgetTransport,
            LiveEffect::ShowAway(None),
            LiveEffect::ShowState(ConnectionState::Live { age_ms: 0 }),
            LiveEffect::CompareBuild("b".into()),
        ]
    );
    connection
}

/// A machine that has come down to events, as attempt 3.
fn by_events(world: &mut World) -> LiveConnection {
    let mut connection = LiveConnection::new(world.now, Transport::Socket);
    connection.handle(LiveEvent::Start, world);
    assert!(!has_probe(&connection.handle(LiveEvent::Lost { attempt: 1 }, world)));
    world.pass(1_000);
    connection.handle(LiveEvent::Tick, world);
    assert!(has_probe(&connection.handle(LiveEvent::Lost { attempt: 2 }, world)), "the second failure asks");
    let effects = connection.handle(LiveEvent::ServerAnswers { attempt: 2 }, world);
    let query = format!("hz=60&topic={BATCH}&rev=417&topic={STRIP}");
    assert!(effects.contains(&LiveEffect::OpenEvents { attempt: 3, query }), "{effects:?}");
    connection.handle(welcome(3), world);
    assert_eq!(connection.open_transport(), Some(Transport::Events));
    connection
}

fn has_probe(effects: &[LiveEffect]) -> bool {
    effects.iter().any(|effect| matches!(effect, LiveEffect::ProbeServer { .. }))
}

fn opens(effects: &[LiveEffect]) -> bool {
    effects.iter().any(|effect| matches!(effect, LiveEffect::OpenSocket { .. }))
}

#[test]
fn after_a_cut_it_waits_and_goes_on_from_what_is_shown() {
    let mut world = World::new();
    let mut connection = open(&world);
    let lost = connection.handle(LiveEvent::Lost { attempt: 1 }, &world);
    assert_eq!(
        lost,
        [
            LiveEffect::Close,
            LiveEffect::ShowAway(Some(world.now)),
            LiveEffect::ShowState(ConnectionState::Reconnecting { seconds: 1 }),
        ]
    );
    world.pass(499);
    assert!(!opens(&connection.handle(LiveEvent::Tick, &world)));
    world.pass(1);
    assert!(opens(&connection.handle(LiveEvent::Tick, &world)));
    world.topics.insert(BATCH, Some(500));
    world.topics.insert(STRIP, Some(500));
    let asked = connection.handle(LiveEvent::SocketOpened { attempt: 2 }, &world);
    assert_eq!(asked, [subscribe(BATCH, Some(500)), subscribe(STRIP, Some(500))]);
    assert!(connection.handle(welcome(2), &world).contains(&LiveEffect::ShowAway(None)));
}

#[test]
fn what_an_earlier_attempt_reports_is_ignored() {
    let mut world = World::new();
    let mut connection = open(&world);
    connection.handle(LiveEvent::Lost { attempt: 1 }, &world);
    world.pass(60_000);
    connection.handle(LiveEvent::Tick, &world);
    for stale in [
        LiveEvent::SocketOpened { attempt: 1 },
        welcome(1),
        LiveEvent::SocketClosed { attempt: 1, code: 4401, reason: String::new() },
        LiveEvent::Lost { attempt: 1 },
        LiveEvent::PollAnswered { attempt: 1 },
        LiveEvent::Stopped { attempt: 1, reason: RefusalReason::SignedOut },
        LiveEvent::ServerAnswers { attempt: 1 },
    ] {
        assert_eq!(connection.handle(stale.clone(), &world), [], "{stale:?}");
    }
    connection.handle(welcome(2), &world);
    assert_eq!(connection.open_transport(), Some(Transport::Socket));
}

#[test]
fn a_server_that_goes_away_says_when_to_come_back() {
    let mut world = World::new();
    let mut connection = open(&world);
    let code = CloseCode::GoingAway.number();
    connection.handle(LiveEvent::SocketClosed { attempt: 1, code, reason: "3000".into() }, &world);
    world.pass(3_499);
    assert!(!opens(&connection.handle(LiveEvent::Tick, &world)));
    assert!(opens(&connection.handle(LiveEvent::RetryNow, &world)), "unless somebody wants it now");
}

#[test]
fn silence_is_a_loss() {
    let mut world = World { is_unfinished: false, ..World::new() };
    let mut connection = open(&world);
    world.pass(23_000);
    let slow = LiveEffect::ShowState(ConnectionState::Slow { age_ms: 23_000 });
    assert_eq!(connection.handle(LiveEvent::Tick, &world), [slow]);
    world.pass(27_001);
    assert!(connection.handle(LiveEvent::Tick, &world).contains(&LiveEffect::Close));
}

#[test]
fn whoever_is_signed_out_is_not_tried_again() {
    let mut world = World::new();
    let mut connection = open(&world);
    let code = CloseCode::NotSignedIn.number();
    let effects =
        connection.handle(LiveEvent::SocketClosed { attempt: 1, code, reason: String::new() }, &world);
    assert!(effects.contains(&LiveEffect::ShowState(ConnectionState::SignedOut)));
    world.pass(600_000);
    for event in [LiveEvent::Tick, LiveEvent::RetryNow, LiveEvent::VisibilityChanged] {
        assert_eq!(connection.handle(event, &world), []);
    }
}

#[test]
fn requests_are_gathered() {
    let mut world = World::new();
    let mut connection = open(&world);
    world.topics.remove(&STRIP);
    let planned = connection.handle(LiveEvent::WantedChanged, &world);
    assert_eq!(planned, [LiveEffect::RequestAfter(Duration::from_millis(60))]);
    world.topics.insert(Topic::Nodes, None);
    assert_eq!(connection.handle(LiveEvent::WantedChanged, &world), []);
    assert_eq!(connection.handle(LiveEvent::Resubscribe(BATCH), &world), []);
    world.pass(60);
    let frames = connection.handle(LiveEvent::RequestDue, &world);
    let left = LiveEffect::Send(ClientFrame::Unsubscribe { topic: STRIP.to_string() });
    assert_eq!(frames, [left, subscribe(BATCH, Some(417)), subscribe(Topic::Nodes, None)]);
    world.pass(1_000);
    let planned = connection.handle(LiveEvent::WantedChanged, &world);
    assert_eq!(planned, [LiveEffect::RequestAfter(Duration::ZERO)]);
}

#[test]
fn a_hidden_tab_asks_for_its_title_and_for_nothing_once_that_has_ended() {
    let mut world = World::new();
    let mut connection = open(&world);
    world.is_hidden = true;
    let pace = |hz| LiveEffect::Send(ClientFrame::Pace { hz });
    let effects = connection.handle(LiveEvent::VisibilityChanged, &world);
    let left = LiveEffect::Send(ClientFrame::Unsubscribe { topic: STRIP.to_string() });
    assert_eq!(effects, [pace(0.2), left]);
    world.is_unfinished = false;
    connection.handle(LiveEvent::WantedChanged, &world);
    assert_eq!(connection.handle(LiveEvent::RequestDue, &world), [pace(0.0)]);
    world.is_hidden = false;
    let effects = connection.handle(LiveEvent::VisibilityChanged, &world);
    assert!(effects.ends_with(&[pace(60.0), subscribe(STRIP, None)]), "{effects:?}");
}

#[test]
fn a_topic_that_could_not_be_read_is_asked_for_later() {
    let world = World::new();
    let mut connection = open(&world);
    let refused = |code| LiveEvent::Received {
        attempt: 1,
        frame: Incoming::Refused { topic: Some(STRIP), code, message: String::new() },
    };
    assert_eq!(
        connection.handle(refused(ErrorCode::Busy), &world),
        [
            LiveEffect::Refuse(STRIP, ErrorCode::Busy),
            LiveEffect::ResubscribeAfter(STRIP, Duration::from_secs(4)),
        ]
    );
    let effects = connection.handle(refused(ErrorCode::NotFound), &world);
    assert_eq!(effects, [LiveEffect::Refuse(STRIP, ErrorCode::NotFound)]);
    let ping = LiveEvent::Received { attempt: 1, frame: Incoming::Ping };
    assert_eq!(connection.handle(ping, &world), [LiveEffect::Send(ClientFrame::Pong {})]);
}

#[test]
fn events_are_opened_anew_for_other_topics_without_a_loss_of_contact() {
    let mut world = World::new();
    let mut connection = by_events(&mut world);
    assert_eq!(connection.handle(LiveEvent::RequestDue, &world), [], "nothing has changed");
    world.topics.remove(&STRIP);
    let query = format!("hz=60&topic={BATCH}&rev=417");
    assert_eq!(
        connection.handle(LiveEvent::RequestDue, &world),
        [LiveEffect::Close, LiveEffect::OpenEvents { attempt: 4, query }]
    );
    assert_eq!(connection.open_transport(), Some(Transport::Events));
    world.is_hidden = true;
    let effects = connection.handle(LiveEvent::VisibilityChanged, &world);
    let query = format!("hz=0.2&topic={BATCH}&rev=417");
    assert_eq!(effects, [LiveEffect::Close, LiveEffect::Poll { attempt: 5, query }], "streams are few");
}

#[test]
fn polls_come_one_after_the_other() {
    let mut world = World::new();
    let mut connection = by_events(&mut world);
    connection.handle(LiveEvent::Lost { attempt: 3 }, &world);
    for attempt in [4, 5] {
        world.pass(60_000);
        connection.handle(LiveEvent::Tick, &world);
        connection.handle(LiveEvent::Lost { attempt }, &world);
    }
    let is_poll = |effect: &LiveEffect| matches!(effect, LiveEffect::Poll { .. });
    assert!(connection.handle(LiveEvent::ServerAnswers { attempt: 5 }, &world).iter().any(is_poll));
    connection.handle(welcome(6), &world);
    world.topics.insert(Topic::Nodes, None);
    assert!(!connection.handle(LiveEvent::RequestDue, &world).iter().any(is_poll), "one is under way");
    connection.handle(LiveEvent::PollAnswered { attempt: 6 }, &world);
    assert!(connection.handle(LiveEvent::RequestDue, &world).iter().any(is_poll), "for the new topic");
    connection.handle(LiveEvent::PollAnswered { attempt: 6 }, &world);
    world.pass(1_999);
    assert!(!connection.handle(LiveEvent::Tick, &world).iter().any(is_poll));
    world.pass(1);
    assert!(connection.handle(LiveEvent::Tick, &world).iter().any(is_poll));
}

#[test]
fn where_nothing_gets_through_the_page_reloads_while_something_goes_on() {
    let mut world = World::new();
    let mut connection = LiveConnection::new(world.now, Transport::Page);
    connection.handle(LiveEvent::Start, &world);
    connection.handle(LiveEvent::Lost { attempt: 1 }, &world);
    connection.handle(LiveEvent::Tick, &world);
    world.pass(5_000);
    assert_eq!(connection.handle(LiveEvent::Tick, &world), [LiveEffect::ReloadPage]);
    world.is_unfinished = false;
    world.pass(5_000);
    assert_eq!(connection.handle(LiveEvent::Tick, &world), []);
}

#[test]
fn the_socket_is_looked_for_from_a_lesser_transport_and_the_page_stays_live() {
    let mut world = World::new();
    let mut connection = by_events(&mut world);
    world.pass(30_000);
    connection.handle(LiveEvent::Received { attempt: 3, frame: Incoming::Ping }, &world);
    world.pass(30_000);
    assert!(opens(&connection.handle(LiveEvent::Tick, &world)));
    let effects = connection.handle(LiveEvent::Lost { attempt: 4 }, &world);
    assert!(!effects.iter().any(|effect| matches!(effect, LiveEffect::ShowAway(_))), "{effects:?}");
    let effects = connection.handle(LiveEvent::Tick, &world);
    assert!(effects.iter().any(|effect| matches!(effect, LiveEffect::OpenEvents { attempt: 5, .. })));
}

#[test]
fn without_a_network_it_is_offline() {
    let mut world = World::new();
    let mut connection = open(&world);
    world.is_online = false;
    let since = world.now;
    let lost = connection.handle(LiveEvent::Lost { attempt: 1 }, &world);
    assert!(lost.contains(&LiveEffect::ShowState(ConnectionState::Offline { since })), "{lost:?}");
}

#[test]
fn a_silent_line_is_not_called_live_while_something_goes_on() {
    let mut world = World::new();
    let mut connection = open(&world);
    world.pass(5_500);
    let asked = connection.handle(LiveEvent::Tick, &world);
    assert!(asked.iter().any(|effect| matches!(effect, LiveEffect::RequestAfter(_))), "{asked:?}");
    assert_eq!(connection.handle(LiveEvent::RequestDue, &world), [subscribe(BATCH, Some(417))]);
    // Nothing comes: slow after three seconds, lost after twelve, and only one question was asked.
    world.pass(3_500);
    let slow = connection.handle(LiveEvent::Tick, &world);
    assert_eq!(slow, [LiveEffect::ShowState(ConnectionState::Slow { age_ms: 9_000 })]);
    world.pass(9_000);
    let lost = connection.handle(LiveEvent::Tick, &world);
    assert!(lost.contains(&LiveEffect::ShowAway(Some(world.now))), "{lost:?}");

    // An answer is contact, and the next silence is asked anew.
    let mut connection = open(&world);
    world.pass(5_500);
    connection.handle(LiveEvent::Tick, &world);
    connection.handle(LiveEvent::RequestDue, &world);
    let current = Delta::Update { rev: 417, changes: Vec::new(), gone: Vec::new() };
    let frame = Incoming::Rows { topic: BATCH, delta: current };
    connection.handle(LiveEvent::Received { attempt: 1, frame }, &world);
    world.pass(4_000);
    let live = connection.handle(LiveEvent::Tick, &world);
    assert_eq!(live, [LiveEffect::ShowState(ConnectionState::Live { age_ms: 4_000 })]);
    world.pass(2_000);
    connection.handle(LiveEvent::Tick, &world);
    assert_eq!(connection.handle(LiveEvent::RequestDue, &world), [subscribe(BATCH, Some(417))]);
}

#[test]
fn nobody_asks_where_nothing_goes_on_or_nobody_looks() {
    for (is_unfinished, is_hidden) in [(false, false), (true, true)] {
        let mut world = World { is_unfinished, is_hidden, ..World::new() };
        let shown = World { is_hidden: false, ..World::new() };
        let mut connection = open(&shown);
        world.pass(15_000);
        let effects = connection.handle(LiveEvent::Tick, &world);
        assert_eq!(effects, [LiveEffect::ShowState(ConnectionState::Live { age_ms: 15_000 })]);
    }
}
