//! The tick of a hub, by what its sending is said to cost: under a time that only the test moves.

use super::*;

/// How many milliseconds the second of two changes waits for its release.
fn second_change_after(world: &mut World, session: &mut Session, rev: Rev) -> u32 {
    // Long after whatever went before: the first goes at once.
    world.advance(TICK * 10);
    world.publish(strip(), rev, vec![cell(0, rev, rev)], &[]);
    assert_eq!(world.frames(session).len(), 1);
    world.publish(strip(), rev + 1, vec![cell(0, rev + 1, rev + 1)], &[]);
    let mut waited_ms = 0;
    while world.frames(session).is_empty() {
        world.advance(Duration::from_millis(1));
        waited_ms += 1;
        assert!(waited_ms < 1_000, "it is never released");
    }
    waited_ms
}

#[tokio::test]
async fn releases_follow_what_sending_costs() {
    let mut world = World::new();
    let mut session = world.hub.session(viewer("ada"), Codec::Json);
    world.join(&mut session, strip(), 1, vec![]);
    assert_eq!(second_change_after(&mut world, &mut session, 2), 25, "where sending costs nothing");
    let tempo = Arc::clone(&world.hub.inner.tempo);
    let send = |world: &mut World, cost: Duration, ticks: u32| {
        for _ in 0..ticks {
            let begun = world.now;
            world.advance(tempo.tick().max(cost));
            tempo.spent(begun, begun + cost);
        }
    };
    send(&mut world, Duration::from_millis(500), 2);
    assert_eq!(second_change_after(&mut world, &mut session, 4), 100, "where it takes all there is");
    send(&mut world, Duration::from_millis(1), 50);
    assert_eq!(second_change_after(&mut world, &mut session, 6), 26, "and back, but for a rest of the way");
}
