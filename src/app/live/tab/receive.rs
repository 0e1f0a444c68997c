//! Frames in: read, and handed on once per animation frame.
//!
//! Owns what waits for the next frame of the browser. Called by the lines. Invariant: listeners are told of frames in
//! the order in which they came; in a hidden tab, which has no animation frames, at once. Deliberately folds nothing.

use std::time::Duration;

use leptos::prelude::{request_animation_frame, set_timeout};

use super::{connection_state, now_ms, reload, subscribe, with_tab};
use crate::client::fold::Delta;
use crate::protocol::binary::{Change, Heard};
use crate::protocol::{ClientFrame, ErrorCode, ServerFrame, Topic};

/// Frames that may wait for an animation frame; one more and they are handed on at once.
pub const WAITING_MAX: usize = 256;
/// Least time until a topic is asked for anew that could not be read; at most twice as long.
const BUSY_MS: f64 = 2_000.0;

/// A frame in JSON.
pub fn text(text: &str) {
    match ServerFrame::from_json(text) {
        Ok(frame) => hear(Heard::Frame(frame)),
        Err(_form) => unreadable(),
    }
}

/// A frame in the compact codec.
pub fn bytes(bytes: &[u8]) {
    match with_tab(|tab| tab.channels.read(bytes)) {
        Some(Ok(heard)) => hear(heard),
        Some(Err(_form)) => unreadable(),
        None => {}
    }
}

fn unreadable() {
    leptos::logging::warn!("a live frame could not be read; the page may be older than the server");
}

fn hear(heard: Heard) {
    with_tab(|tab| tab.frame_at = now_ms());
    match heard {
        #[expect(clippy::cast_precision_loss, reason = "an interval in milliseconds")]
        Heard::Frame(ServerFrame::Welcome { ping_ms, build, .. }) => {
            connection_state::opened(ping_ms as f64);
            reload::compare(&build);
        }
        Heard::Frame(ServerFrame::Ping) => {
            with_tab(|tab| tab.say(&ClientFrame::Pong {}));
        }
        Heard::Frame(ServerFrame::Snapshot { topic, rev, rows }) => {
            keep(topic, Delta::Snapshot { rev, rows })
        }
        Heard::Frame(ServerFrame::Update { topic, rev, rows, gone }) => {
            let changes = rows.into_iter().map(Change::Whole).collect();
            keep(topic, Delta::Update { rev, changes, gone });
        }
        Heard::Update { topic, rev, changes, gone } => keep(topic, Delta::Update { rev, changes, gone }),
        Heard::Frame(ServerFrame::Error { topic, code, .. }) => {
            let Ok(topic) = topic.parse::<Topic>() else { return };
            let listeners = with_tab(|tab| tab.client.desk().listeners(topic)).unwrap_or_default();
            for listener in listeners {
                listener.refuse(code);
            }
            if code == ErrorCode::Busy {
                again_later(topic);
            }
        }
    }
}

/// The database did not answer in time: the topic is asked for anew after a while, not by all tabs at once.
fn again_later(topic: Topic) {
    let ms = BUSY_MS * (1.0 + js_sys::Math::random());
    let ask = move || {
        with_tab(|tab| tab.client.desk().ask_anew(topic));
        subscribe::wanted_changed();
    };
    set_timeout(ask, Duration::from_secs_f64(ms / 1_000.0));
}

/// Keeps a frame for the next animation frame.
fn keep(topic: Topic, delta: Delta) {
    let (now, plan) = with_tab(|tab| {
        tab.waiting.push((topic, delta));
        let now = tab.hidden || tab.waiting.len() > WAITING_MAX;
        (now, !now && !std::mem::replace(&mut tab.frame_asked, true))
    })
    .unwrap_or_default();
    if now {
        hand_on();
        subscribe::ask();
    } else if plan {
        request_animation_frame(hand_on);
    }
}

/// Hands frames on to who listens; a listener to whom they do not fit has its topic asked for anew.
pub fn hand_on() {
    let work = with_tab(|tab| {
        tab.frame_asked = false;
        let waiting = std::mem::take(&mut tab.waiting);
        let desk = tab.client.desk();
        waiting.into_iter().map(|(topic, delta)| (topic, desk.listeners(topic), delta)).collect::<Vec<_>>()
    });
    let mut torn = Vec::new();
    for (topic, mut listeners, delta) in work.unwrap_or_default() {
        let last = listeners.pop();
        let mut fits = true;
        for listener in listeners {
            fits &= listener.take(delta.clone());
        }
        if let Some(listener) = last {
            fits &= listener.take(delta);
        }
        if !fits {
            torn.push(topic);
        }
    }
    if !torn.is_empty() {
        with_tab(|tab| torn.into_iter().for_each(|topic| tab.client.desk().ask_anew(topic)));
        subscribe::wanted_changed();
    }
}
