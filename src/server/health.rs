//! Whether the process is well: for load balancers, and figures for whoever is signed in.
//!
//! What is open tells nothing but ready or a reason, and costs at most one commit a second.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{StatusCode, header};
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use super::state::AppState;
use super::transport::OPEN_CONNECTIONS;
use crate::protocol::{ApiError, NodeState};
use crate::service::{Caller, Figures};

/// For how long an answer of `/readyz` is given again.
const READY_FOR: Duration = Duration::from_secs(1);

/// The newest answer of `/readyz`, and one that is being found at a time.
#[derive(Default)]
pub struct Readiness {
    newest: Mutex<Option<Answer>>,
}

/// An answer: why not, if not.
struct Answer {
    at: Instant,
    reason: Option<String>,
}

impl Readiness {
    /// Why the process is not ready; at most a second old.
    async fn reason(&self, state: &AppState) -> Option<String> {
        if state.stop.is_cancelled() {
            return Some("stopping".to_owned());
        }
        // An async lock on purpose: whoever comes while the answer is being found waits for that one.
        let mut newest = self.newest.lock().await;
        if let Some(answer) = &*newest
            && answer.at.elapsed() < READY_FOR
        {
            return answer.reason.clone();
        }
        let reason = state.service.unready().await;
        *newest = Some(Answer { at: Instant::now(), reason: reason.clone() });
        reason
    }
}

/// `GET /healthz`: the process answers.
pub async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`.
pub async fn readyz(State(state): State<AppState>) -> Response {
    match state.readiness.reason(&state).await {
        None => Json(serde_json::json!({"ready": true})).into_response(),
        Some(reason) => {
            let body = Json(serde_json::json!({"ready": false, "reason": reason}));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

/// `GET /metrics`: Prometheus text.
///
/// # Errors
/// Outages only.
pub async fn metrics(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let figures = state.service.figures(&caller).await?;
    let open = (OPEN_CONNECTIONS.load(Ordering::Relaxed), state.places.open());
    let body = exposition(&figures, open, state.page_faults.reported());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], body).into_response())
}

/// `open`: connections, and live ones. `page_faults`: told since the start.
fn exposition(figures: &Figures, open: (usize, usize), page_faults: u64) -> String {
    let up = figures.nodes.iter().filter(|node| node.state == NodeState::Up);
    let (mut nodes, mut slots, mut busy, mut rate) = (0_u64, 0_u64, 0_u64, 0.0_f64);
    for node in up {
        nodes += 1;
        slots += u64::from(node.slots);
        busy += u64::from(node.busy);
        rate += node.rate_per_s;
    }
    let counts = &figures.counts;
    let mut text = String::new();
    for (name, help, value) in [
        ("milepost_nodes_up", "Nodes that beat.", nodes.to_string()),
        ("milepost_slots", "Items that living nodes can run at once.", slots.to_string()),
        ("milepost_slots_busy", "Items that living nodes run now.", busy.to_string()),
        (
            "milepost_items_ended_per_second",
            "Items ended per second, over the last seconds.",
            rate.to_string(),
        ),
        ("milepost_batches_active", "Batches that have not finished.", counts.active.to_string()),
        ("milepost_batches_finished", "Batches that have finished.", counts.finished.to_string()),
        ("milepost_batches_with_failures", "Batches with failed items.", counts.with_failures.to_string()),
        ("milepost_live_connections", "Live connections open on this process.", open.1.to_string()),
        ("milepost_connections", "Other connections open on this process.", open.0.to_string()),
    ] {
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}")
            .expect("writing to a String cannot fail");
    }
    let (name, help) = ("milepost_page_faults_total", "Pages that failed in a browser and said so.");
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {page_faults}")
        .expect("writing to a String cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::BatchCounts;

    #[test]
    fn figures_are_prometheus_text() {
        let counts = BatchCounts { active: 2, finished: 3, with_failures: 1, all: 5 };
        let text = exposition(&Figures { nodes: Vec::new(), counts }, (7, 9), 3);
        assert!(text.contains("# TYPE milepost_batches_active gauge\nmilepost_batches_active 2\n"));
        assert!(text.contains("\nmilepost_live_connections 9\n"));
        assert!(text.contains("\nmilepost_connections 7\n"));
        assert!(text.ends_with("# TYPE milepost_page_faults_total counter\nmilepost_page_faults_total 3\n"));
    }
}
