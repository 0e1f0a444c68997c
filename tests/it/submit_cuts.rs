//! A create that is cut off by the end of its server: the repeat under the same key is whole, or a new batch.
//!
//! What was answered is whole, what is answered to a repeat is whole, and whatever else was begun ends cancelled with
//! a reason.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::multipart::{Form as Multipart, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::{PATIENCE, TestServer, id, number, times};

/// Items of one batch.
const ITEMS: u64 = 26;
/// Kills of a server that has a submit of each form in hand.
const KILLS: u32 = 3;
/// Longest time from the sending to the kill.
const KILL_AFTER_MS_MAX: u64 = 150;
/// Settings under which a lost node is missed soon.
const SETTINGS: [(&str, &str); 2] =
    [("MILEPOST_ENGINE_LEASE_SECONDS", "5"), ("MILEPOST_ENGINE_RECLAIM_SECONDS", "1")];

/// How items are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Numbers,
    Ndjson,
    Text,
    Csv,
    Files,
}

/// Whether the batch is to stay open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stays {
    Open,
    Sealed,
}

/// All that there are; numbers are never open.
const ORDERS: [(Form, Stays); 11] = [
    (Form::Json, Stays::Open),
    (Form::Json, Stays::Sealed),
    (Form::Numbers, Stays::Sealed),
    (Form::Ndjson, Stays::Open),
    (Form::Ndjson, Stays::Sealed),
    (Form::Text, Stays::Open),
    (Form::Text, Stays::Sealed),
    (Form::Csv, Stays::Open),
    (Form::Csv, Stays::Sealed),
    (Form::Files, Stays::Open),
    (Form::Files, Stays::Sealed),
];

/// One create, which may be sent again.
#[derive(Clone, Debug)]
struct Order {
    form: Form,
    stays: Stays,
    key: String,
}

impl Order {
    fn all(round: &str) -> Vec<Self> {
        let order = |(form, stays)| Self { form, stays, key: format!("{round}-{form:?}-{stays:?}") };
        ORDERS.into_iter().map(order).collect()
    }

    fn request(&self, server: &TestServer) -> RequestBuilder {
        let options = match self.stays {
            Stays::Open => r#"{"open":true}"#,
            Stays::Sealed => "{}",
        };
        let streamed = format!("/batches?task=demo&options={options}");
        let lines = |line: &dyn Fn(u64) -> String| (1..=ITEMS).map(line).collect::<String>();
        let post = |path: &str| server.request(Method::POST, path).header("idempotency-key", &self.key);
        let typed = |kind: &str, body: String| post(&streamed).header("content-type", kind).body(body);
        let options_value: Value = serde_json::from_str(options).unwrap();
        match self.form {
            Form::Json => {
                let items: Vec<String> = (1..=ITEMS).map(|at| format!("item {at}")).collect();
                post("/batches").json(&json!({"task": "demo", "options": options_value, "items": items}))
            }
            Form::Numbers => post("/batches").json(&json!({"task": "demo", "items": {"count": ITEMS}})),
            Form::Ndjson => typed("application/x-ndjson", lines(&|at| format!("{{\"at\":{at}}}\n"))),
            Form::Text => typed("text/plain", lines(&|at| format!("item {at}\n"))),
            Form::Csv => typed("text/csv", format!("at\n{}", lines(&|at| format!("{at}\n")))),
            Form::Files => {
                let form = Multipart::new().text("task", "checksum").text("options", options);
                let part =
                    |at: u64| Part::bytes(format!("content {at}").into_bytes()).file_name(at.to_string());
                post("/batches").multipart((1..=ITEMS).fold(form, |form, at| form.part("file", part(at))))
            }
        }
    }

    /// Sends it once: the batch, where it was answered.
    async fn send(&self, request: RequestBuilder) -> Option<Value> {
        let response = request.send().await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        let kept = status.is_success() || status.is_server_error() || status == 409;
        assert!(kept, "{self:?}: {status} {text}");
        if status.is_success() { serde_json::from_str(&text).ok() } else { None }
    }

    /// Sends it until it is answered.
    async fn answered(&self, server: &TestServer) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(batch) = self.send(self.request(server)).await {
                return batch;
            }
            assert!(Instant::now() < deadline, "{self:?} is never answered\n{}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asserts that a batch that was answered has all of its items, as they were sent.
    async fn check(&self, server: &TestServer, batch: &Value) {
        assert_eq!(number(batch, "total"), ITEMS, "{self:?}: {batch}\n{}", server.log());
        let done = match self.stays {
            Stays::Sealed => server.finished(batch).await,
            Stays::Open => {
                let all = |now: &Value| number(now, "succeeded") == ITEMS || !now["finished_at"].is_null();
                server.until(batch, "through its items", all).await
            }
        };
        assert_eq!(number(&done, "succeeded"), ITEMS, "{self:?}: {done}");
        assert_eq!(done["sealed"], json!(self.stays == Stays::Sealed), "{self:?}: {done}");
        let inputs = server.inputs(batch).await;
        for (at, input) in (1..=ITEMS).zip(&inputs) {
            let expected = match self.form {
                Form::Json | Form::Text => json!(format!("item {at}")),
                Form::Numbers => json!(at),
                Form::Ndjson => json!({ "at": at }),
                Form::Csv => json!({"at": at.to_string()}),
                Form::Files => {
                    assert_eq!(input["name"], json!(at.to_string()), "{self:?}");
                    continue;
                }
            };
            assert_eq!(*input, expected, "{self:?}");
        }
        assert_eq!(inputs.len() as u64, ITEMS, "{self:?}");
    }
}

/// Every batch but those that were answered has ended cancelled, with a reason.
async fn only_these(server: &TestServer, answered: &[Value]) -> usize {
    let known: Vec<&str> = answered.iter().map(id).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = server.get("/batches?limit=500").await.ok();
        let others: Vec<&Value> =
            page["batches"].as_array().unwrap().iter().filter(|batch| !known.contains(&id(batch))).collect();
        let open = others.iter().find(|batch| batch["state"] != "cancelled");
        let Some(open) = open else {
            assert!(others.iter().all(|batch| batch["reason"].is_string()), "{others:?}");
            return others.len();
        };
        assert!(Instant::now() < deadline, "left behind: {open}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Kills the server with a submit of each form in hand, again and again.
async fn killed_in_submits(mut server: TestServer, seed: u64) {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut whole = Vec::new();
    let (mut told, mut kept) = (0, 0);
    for round in 0..times(KILLS) {
        let orders = Order::all(&format!("kill-{round}"));
        let sent: Vec<_> = orders
            .iter()
            .map(|order| {
                let (order, request) = (order.clone(), order.request(&server));
                tokio::spawn(async move { order.send(request).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.random_range(1..KILL_AFTER_MS_MAX))).await;
        server.kill().await;
        let mut first = Vec::new();
        for sent in sent {
            first.push(sent.await.unwrap());
        }
        server.spawn().await;
        for (order, first) in orders.iter().zip(first) {
            let again = order.answered(&server).await;
            if let Some(first) = first {
                assert_eq!(id(&again), id(&first), "what was answered stays: {order:?}");
                told += 1;
            }
            kept += usize::from(again["created_at"].is_string());
            order.check(&server, &again).await;
            whole.push(again);
        }
    }
    let left = only_these(&server, &whole).await;
    println!("{kept} submits cut, {told} of them answered before, {left} partial batches cancelled");
}

/// The process ends at each step of a create.
#[cfg(feature = "failpoints")]
async fn ends_between_the_steps(mut server: TestServer) {
    server.kill().await;
    let mut whole = Vec::new();
    let named = ["body.arrived", "complete.before", "complete.after", "file.kept"].map(|name| (name, 0));
    let commits = (1..12).flat_map(|before| [("commit.before", before), ("commit.after", before)]);
    for (point, before) in named.into_iter().chain(commits) {
        let wish = if before == 0 {
            format!("{point}=return(abort)")
        } else {
            format!("{point}={before}*off->return(abort)")
        };
        for order in Order::all(&wish).into_iter().filter(|order| {
            // One of each kind where all are alike; files come by places of their own.
            matches!(order.form, Form::Text | Form::Numbers)
                || (order.form == Form::Files && matches!(point, "body.arrived" | "file.kept"))
        }) {
            if point == "file.kept" && order.form != Form::Files
                || point != "complete.before" && order.form == Form::Numbers
            {
                continue;
            }
            let first = if server.spawn_with(&[("FAILPOINTS", &wish)]).await {
                order.send(order.request(&server)).await
            } else {
                None
            };
            server.kill().await;
            server.spawn().await;
            let again = order.answered(&server).await;
            if let Some(first) = first {
                assert_eq!(id(&again), id(&first), "{wish} {order:?}");
            }
            let same = order.answered(&server).await;
            assert_eq!(id(&again), id(&same), "{wish} {order:?}");
            order.check(&server, &again).await;
            whole.push(again);
            server.kill().await;
        }
    }
    server.spawn().await;
    only_these(&server, &whole).await;
}

#[tokio::test]
async fn killed_in_a_submit_the_repeat_is_whole_or_new_on_sqlite() {
    killed_in_submits(TestServer::start_with(&SETTINGS).await, 21).await;
}

#[tokio::test]
async fn killed_in_a_submit_the_repeat_is_whole_or_new_on_postgres() {
    let Some(server) = TestServer::start_on(Cluster::shared(), &SETTINGS).await else { return };
    killed_in_submits(server, 22).await;
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn between_any_two_steps_of_a_submit_the_repeat_is_whole_or_new() {
    ends_between_the_steps(TestServer::start_with(&SETTINGS).await).await;
}

/// The node that had a submit in hand never comes back: another one ends it, and takes the repeat.
#[cfg(feature = "failpoints")]
#[tokio::test]
async fn another_node_settles_what_a_lost_one_began() {
    let Some(mut lost) = TestServer::start_on(Cluster::shared(), &SETTINGS).await else { return };
    let living = lost.beside("living", "all").await;
    lost.kill().await;
    let mut whole = Vec::new();
    for point in ["body.arrived", "complete.before", "complete.after"] {
        for stays in [Stays::Open, Stays::Sealed] {
            let order = Order { form: Form::Text, stays, key: format!("{point}-{stays:?}") };
            assert!(lost.spawn_with(&[("FAILPOINTS", &format!("{point}=return(abort)"))]).await);
            assert!(order.send(order.request(&lost)).await.is_none());
            lost.ended().await;
            let again = order.answered(&living).await;
            order.check(&living, &again).await;
            whole.push(again);
        }
    }
    only_these(&living, &whole).await;
}
