//! The course of an item: what it waited and what each attempt took, as bars on one scale.
//!
//! Bars are SVG attributes, since the page forbids inline styles; each is said in words beside it.

use super::escape::put;
use crate::client::words;
use crate::protocol::{AttemptRow, ItemLive, ItemState, Timestamp};

/// Width of the whole scale in its own units.
const WHOLE: u64 = 1_000;
/// Width of a bar however short its time: thin, but seen.
const SEEN_MIN: u64 = 6;

/// Waits and attempts in turn, from `created` to the last end, or to `now` where it has not ended.
#[must_use]
pub fn course(created: Timestamp, item: &ItemLive, now: Option<Timestamp>) -> String {
    let has_ended = item.row.state.has_ended();
    if item.history.is_empty() && has_ended {
        return "<p class=\"hint\">It was quick and had nothing to say: no attempt was kept.</p>".to_owned();
    }
    let known = item.history.iter().flat_map(|attempt| [attempt.started_at, attempt.ended_at]).flatten();
    let last = known.chain(item.started_at).max().unwrap_or(created);
    let end = now.filter(|now| !has_ended && *now > last).unwrap_or(last);
    let mut steps = Steps { out: String::from("<ol class=\"timeline\">"), from: created, end, now };
    let mut free_since = Some(created);
    for attempt in &item.history {
        if let (Some(since), Some(started)) = (free_since, attempt.started_at) {
            steps.step("wait", Some(since), Some(started), &waited(since, started), None);
        }
        free_since = attempt.ended_at;
        steps.attempt(attempt);
    }
    steps.under_way(item, free_since);
    steps.out.push_str("</ol>");
    steps.out
}

fn waited(since: Timestamp, until: Timestamp) -> String {
    format!("waited {}", words::duration(until.ms_since(since)))
}

struct Steps {
    out: String,
    from: Timestamp,
    end: Timestamp,
    now: Option<Timestamp>,
}

impl Steps {
    /// One step; `error` is what it failed with.
    fn step(
        &mut self,
        kind: &str,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        text: &str,
        error: Option<&str>,
    ) {
        let out = &mut self.out;
        put(out, &["<li class=\"step step-", kind, "\">"]);
        if let Some(until) = until {
            out.push_str(&span_bar([self.from, self.end], [since.unwrap_or(until), until]));
        }
        put(out, &["<span>", text, "</span>"]);
        if let Some(at) = until.or(since).filter(|_| kind != "wait") {
            let absolute = words::absolute(at);
            let told = self.now.map_or_else(|| absolute.clone(), |now| words::relative(at, now));
            let stamp = at.to_string();
            put(
                out,
                &[" · <time class=\"when\" datetime=\"", &stamp, "\" title=\"", &absolute, "\">", &told],
            );
            out.push_str("</time>");
        }
        if let Some(error) = error {
            put(out, &["<p class=\"hint\">", &words::shown(error), "</p>"]);
        }
        out.push_str("</li>");
    }

    fn attempt(&mut self, attempt: &AttemptRow) {
        let mut text = format!("attempt {}", attempt.attempt);
        if attempt.generation > 1 {
            text.push_str(&format!(" (run {})", attempt.generation));
        }
        text.push(' ');
        text.push_str(words::attempt_outcome(attempt.outcome));
        if let (Some(started), Some(ended)) = (attempt.started_at, attempt.ended_at) {
            text.push_str(" in ");
            text.push_str(&words::duration(ended.ms_since(started)));
        }
        if let Some(node) = &attempt.node {
            text.push_str(" on node ");
            text.push_str(&words::shown(&node.0));
        }
        let (kind, error) = (attempt.outcome.as_str(), attempt.error.as_deref());
        self.step(kind, attempt.started_at, attempt.ended_at, &text, error);
    }

    /// What it does now: waits, or runs.
    fn under_way(&mut self, item: &ItemLive, free_since: Option<Timestamp>) {
        let waits = match item.row.state {
            ItemState::Pending => "waits for a slot",
            ItemState::Retrying => "waits for another attempt",
            ItemState::Running => return self.runs(item, free_since),
            ItemState::Succeeded | ItemState::Failed | ItemState::Cancelled => return,
        };
        let so_far =
            |since: Timestamp| format!("{waits}, {} so far", words::duration(self.end.ms_since(since)));
        let text = free_since.map_or_else(|| waits.to_owned(), so_far);
        let until = free_since.map(|_| self.end);
        self.step("wait", free_since, until, &text, None);
    }

    fn runs(&mut self, item: &ItemLive, free_since: Option<Timestamp>) {
        if let (Some(since), Some(started)) = (free_since, item.started_at) {
            self.step("wait", Some(since), Some(started), &waited(since, started), None);
        }
        let mut text = format!("attempt {} runs", item.row.attempts.max(1));
        if let Some(started) = item.started_at {
            text.push_str(" for ");
            text.push_str(&words::duration(self.end.ms_since(started)));
        }
        if let Some(node) = &item.row.node {
            text.push_str(" on node ");
            text.push_str(&words::shown(&node.0));
        }
        match item.started_at {
            Some(started) => {
                self.step("now", Some(started), Some(self.end), &text, None);
            }
            None => self.step("now", None, None, &text, None),
        }
    }
}

/// A time within a whole, as a bar.
#[must_use]
pub fn span_bar([from, end]: [Timestamp; 2], [since, until]: [Timestamp; 2]) -> String {
    let (at, width) = bar(from, end, since, until);
    format!(
        "<svg class=\"step-bar\" viewBox=\"0 0 1000 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"step-ground\" width=\"1000\" height=\"8\"></rect><rect x=\"{at}\" width=\"{width}\" height=\"8\"></rect></svg>"
    )
}

/// Where a bar begins and how wide it is, both in parts of the whole.
fn bar(from: Timestamp, end: Timestamp, since: Timestamp, until: Timestamp) -> (u64, u64) {
    let whole = u128::from(end.ms_since(from).max(1));
    let part = |at: Timestamp| {
        let part = u128::from(at.ms_since(from)) * u128::from(WHOLE) / whole;
        u64::try_from(part).unwrap_or(WHOLE).min(WHOLE)
    };
    let width = part(until).saturating_sub(part(since)).max(SEEN_MIN);
    (part(since).min(WHOLE - width), width)
}

#[cfg(test)]
mod tests {
    use super::super::escape::texts;
    use super::*;

    const TAGS: [&str; 12] = [
        "ol class=",
        "/ol",
        "li class=",
        "/li",
        "svg class= viewBox= preserveAspectRatio= aria-hidden=",
        "rect class= width= height=",
        "rect x= width= height=",
        "/rect",
        "/svg",
        "span",
        "/span",
        "time class= datetime= title=",
    ];

    fn item(state: &str, history: &str, started_at: Option<i64>) -> ItemLive {
        let started_at = started_at.map(|at| Timestamp(at).to_string());
        let text = format!(
            r#"{{"seq":1,"state":"{state}","attempts":2,"input":1,"progress":null,"result":null,"error":null,
            "family":null,"ms":null,"node":"b<1>","files":[],"rev":1,"history":[{history}],
            "started_at":{},"log":{{"from":0,"text":""}}}}"#,
            started_at.map_or("null".to_owned(), |at| format!("\"{at}\""))
        );
        serde_json::from_str(&text).unwrap()
    }

    fn shown(html: &str) -> String {
        let tags: Vec<&str> = TAGS.into_iter().chain(["/time", "p class=", "/p"]).collect();
        texts(html, &tags)
    }

    fn failed(from: i64, to: i64) -> String {
        format!(
            r#"{{"attempt":1,"generation":1,"outcome":"failed","started_at":"{}","ended_at":"{}","error":"<no>","node":"a"}}"#,
            Timestamp(from),
            Timestamp(to)
        )
    }

    #[test]
    fn what_runs_says_since_when_where_and_its_wait_before() {
        let item = item("running", &failed(60_000, 62_000), Some(66_000));
        let html = course(Timestamp(0), &item, Some(Timestamp(100_000)));
        let text = shown(&html);
        for told in ["waited 1 min", "attempt 1 failed in 2.0 s on node a", "<no>", "waited 4.0 s"] {
            assert!(text.contains(told), "{told} in {text}");
        }
        assert!(text.contains("attempt 2 runs for 34 s on node b<1>"), "{text}");
        for bar in [
            r#"x="0" width="600""#,
            r#"x="600" width="20""#,
            r#"x="620" width="40""#,
            r#"x="660" width="340""#,
        ] {
            assert!(html.contains(bar), "{bar} in {html}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let running = item("running", "", None);
        let html = course(Timestamp(0), &running, None);
        assert_eq!(shown(&html), "attempt 2 runs on node b<1>");
        assert!(shown(&course(Timestamp(0), &item("succeeded", "", None), None)).contains("It was quick"));
        let waits = course(Timestamp(0), &item("pending", "", None), Some(Timestamp(5_000)));
        assert!(shown(&waits).contains("waits for a slot, 5.0 s so far"), "{waits}");
    }

    #[test]
    fn short_times_are_seen_and_stay_on_the_scale() {
        let at = Timestamp;
        assert_eq!(bar(at(0), at(1_000_000), at(999_999), at(1_000_000)), (WHOLE - SEEN_MIN, SEEN_MIN));
        assert_eq!(bar(at(5), at(5), at(5), at(5)), (0, SEEN_MIN));
        assert_eq!(bar(at(100), at(200), at(0), at(300)), (0, WHOLE), "clocks may differ");
    }
}
