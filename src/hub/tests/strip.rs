//! What whoever watches a strip is told when its cells are cut anew.

use super::*;

/// The cells of a strip as it is at `rev`: of `ended` items, `width` to a cell.
fn cells(ended: u64, width: u64, rev: Rev) -> Vec<(Row, Audience)> {
    let cell = |at: u64| {
        let (first, last) = (at * width + 1, ((at + 1) * width).min(ended));
        let cell = u32::try_from(at).unwrap();
        let row = StripCell { cell, first, last, succeeded: last + 1 - first, failed: 0, cancelled: 0, rev };
        (Row::Cell(row), Audience::Everyone)
    };
    (0..ended.div_ceil(width)).map(cell).collect()
}

#[tokio::test]
async fn a_strip_that_doubles_costs_no_session_a_reading() {
    const KEYS: u64 = 1_024;
    let mut world = World::new();
    let codecs = [Codec::Json, Codec::Binary, Codec::Json, Codec::Json];
    let mut sessions = codecs.map(|codec| world.hub.session(viewer("ada"), codec));
    let mut clients = [(); 4].map(|()| Client::default());
    // The first shows what its page brought, which the hub never sees; the last is told nothing until it asks again.
    sessions[0].subscribe(strip()).unwrap();
    clients[0].take(ServerFrame::Snapshot {
        topic: strip(),
        rev: 1,
        rows: cells(KEYS, 1, 1).into_iter().map(|(row, _audience)| row).collect(),
    });
    clients[0].take(world.answer(&mut sessions[0], strip(), Some(1), 1, None));
    for who in 1..4 {
        let answer = world.join_bytes(&mut sessions[who], strip(), 1, cells(KEYS, 1, 1));
        clients[who].take_bytes(codecs[who], &answer);
    }
    sessions[3].set_pace(0.0).unwrap();
    let mut rev = 1;
    for doubling in 1..8_u32 {
        let width = 1 << doubling;
        // One item more than fits, and then as many as fit, cell by cell.
        rev += 10;
        world.hub.replace_at(strip(), rev, cells(KEYS * width / 2, width, rev), KEYS, world.now);
        // A row that was committed before the doubling comes late, and so does an earlier reading.
        world.publish(strip(), rev - 1, vec![cell(1_000, 1, rev - 1)], &[]);
        world.hub.replace_at(strip(), rev - 1, cells(KEYS * width / 2, width / 2, rev - 1), KEYS, world.now);
        world.advance(TICK);
        for who in 0..3 {
            let turn = sessions[who].turn(world.now);
            assert!(turn.ask.is_empty(), "session {who} would read the strip again");
            turn.frames.iter().for_each(|frame| clients[who].take_bytes(codecs[who], frame));
            assert_shows(&clients[who], cells(KEYS * width / 2, width, rev));
        }
        rev += 1;
        world.publish(strip(), rev, cells(KEYS * width, width, rev), &[]);
        world.advance(TICK);
        for who in 0..3 {
            let frames = sessions[who].turn(world.now).frames;
            frames.iter().for_each(|frame| clients[who].take_bytes(codecs[who], frame));
        }
    }
    sessions[3].set_pace(60.0).unwrap();
    let turn = sessions[3].turn(world.now);
    assert!(turn.ask.is_empty(), "who slept through all of it is told the newest");
    turn.frames.iter().for_each(|frame| clients[3].take_bytes(codecs[3], frame));
    for client in &clients {
        assert_shows(client, cells(KEYS * 128, 128, rev));
    }
}

/// That the client shows just these rows.
#[track_caller]
fn assert_shows(client: &Client, rows: Vec<(Row, Audience)>) {
    let rows: Vec<Row> = rows.into_iter().map(|(row, _audience)| row).collect();
    let shown: Vec<Row> = client.rows.values().cloned().collect();
    assert!(shown == rows, "{} rows are shown, {} are there", shown.len(), rows.len());
}

#[tokio::test]
async fn only_what_somebody_may_show_is_told_as_gone() {
    let mut world = World::new();
    let mut session = world.hub.session(viewer("ada"), Codec::Json);
    world.join(&mut session, strip(), 1, vec![cell(0, 1, 1), cell(7, 1, 1)]);
    world.hub.replace_at(strip(), 2, vec![cell(0, 2, 2)], 1_024, world.now);
    let told = world.frames(&mut session);
    let [ServerFrame::Update { rows, gone, .. }] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((rows.len(), gone.as_slice()), (1, [Key::Number(7)].as_slice()));
    world.advance(TICK);
    world.hub.replace_at(strip(), 2, vec![cell(0, 2, 2)], 1_024, world.now);
    assert!(world.frames(&mut session).is_empty(), "nothing has changed");
}
