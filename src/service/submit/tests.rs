//! Submits against a real store and engine, with a task that counts how often it is prepared.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::engine::{Engine, EngineOptions};
use crate::formats::body::ByteStream;
use crate::formats::csv::options::CsvOptions;
use crate::formats::encoding::TextEncoding;
use crate::formats::form::FieldOrder;
use crate::formats::stream::{ItemStream, StreamFormat};
use crate::hub::Hub;
use crate::protocol::{ErrorCode, InputKind, Json, NewBatch, Options, Role};
use crate::service::Parts;
use crate::store::{Store, StoreOptions};
use crate::tasks::{Item, Registry, Task, TaskContext, TaskError, built_in};

/// How often [`Counted`] was prepared. One test uses it.
static PREPARED: AtomicU32 = AtomicU32::new(0);

struct Counted;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct CountedParams {
    rate: f64,
    more: Option<f64>,
}

impl Task for Counted {
    type Params = CountedParams;
    const NAME: &'static str = "counted";
    const TITLE: &'static str = "Counted";
    const DESCRIPTION: &'static str = "Counts how often it is prepared.";
    const INPUT: InputKind = InputKind::Line;

    fn check(_params: &CountedParams) -> Result<(), String> {
        PREPARED.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn run(
        &self,
        _params: Arc<CountedParams>,
        _item: Item,
        _context: TaskContext,
    ) -> Result<Json, TaskError> {
        Ok(Json::default())
    }
}

struct Site {
    _folder: tempfile::TempDir,
    service: Service,
}

impl Site {
    async fn open(tasks: Registry) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions {
            url: format!("sqlite://{}", folder.path().join("a.db").display()),
            readers: 2,
            writers: 1,
            files: folder.path().join("files"),
            bucket: None,
            quotas: Default::default(),
        })
        .await
        .unwrap();
        let options = EngineOptions {
            node_name: "a".to_owned(),
            role: Role::All,
            slots: 1,
            lease_seconds: 30,
            reclaim_seconds: 5,
            drain_seconds: 0,
            attempts_max: 1,
            retention_days: 30,
            items_per_batch_max: 1_000,
            upload_idle_seconds: 0,
            files_bytes_per_batch_max: u64::MAX,
            work: folder.path().join("work"),
        };
        let (hub, tasks) = (Hub::default(), Arc::new(tasks));
        let engine = Engine::start(store.clone(), Arc::clone(&tasks), hub.clone(), options).await.unwrap();
        let service = Service::new(Parts {
            store,
            engine,
            tasks,
            hub,
            upload_bytes_max: 1 << 20,
            permissions: Default::default(),
            folders: Vec::new(),
        });
        Self { _folder: folder, service }
    }

    async fn submit(&self, submission: Submission) -> Result<Batch, ApiError> {
        let key = IdempotencyKey::new(&uuid::Uuid::now_v7().to_string(), String::new()).unwrap();
        match self.service.submit(&Caller::local(), submission, Some(key)).await? {
            Submitted::Created(batch) => Ok(batch),
            Submitted::Replayed(batch) => panic!("a key of its own: {batch:?}"),
        }
    }

    /// Waits until all its items have succeeded.
    async fn succeeded(&self, batch: &Batch) {
        for _ in 0..4_000 {
            let now = self.service.batch(&Caller::local(), batch.id).await.unwrap();
            if now.state.is_finished() {
                assert_eq!((now.succeeded, now.total), (batch.total, batch.total), "{now:?}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("waited in vain");
    }
}

fn counted(options: Options) -> NewBatch {
    NewBatch { task: "counted".to_owned(), name: None, params: None, options }
}

fn stream(format: StreamFormat, bytes: ByteStream) -> ItemStream {
    ItemStream { format, encoding: TextEncoding::Auto, bytes, length: None, bytes_max: 1 << 20 }
}

fn chunks(text: &'static str) -> ByteStream {
    let chunks: Vec<io::Result<Bytes>> =
        text.as_bytes().chunks(3).map(|chunk| Ok(Bytes::from_static(chunk))).collect();
    Box::pin(futures_util::stream::iter(chunks))
}

fn form(fields: &[(&str, &str)]) -> FormBody {
    let mut text = String::new();
    for (name, value) in fields {
        text.push_str(&format!("--b0\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    text.push_str("--b0--\r\n");
    let body = futures_util::stream::iter([Ok::<_, io::Error>(text)]);
    let parts = multer::Multipart::new(body, "b0");
    FormBody { parts, file_bytes_max: 1 << 20, order: FieldOrder::SettingsFirst }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_batch_is_prepared_once_on_its_whole_way() {
    let site = Site::open(Registry::default().with(Counted)).await;
    let csv = StreamFormat::Csv(CsvOptions::default());
    let submissions = [
        Submission::Json(Bytes::from_static(br#"{"task":"counted","items":["a","b"]}"#)),
        Submission::Json(Bytes::from_static(br#"{"task":"counted","items":{"count":2}}"#)),
        Submission::Stream(counted(Options::default()), stream(StreamFormat::Text, chunks("a\nb\n"))),
        Submission::Stream(counted(Options::default()), stream(csv, chunks("x,y\n1,2\n3,4\n"))),
        Submission::Form(form(&[("task", "counted"), ("lines", "a\nb\n")])),
        Submission::Form(form(&[("task", "counted"), ("kind", "count"), ("count", "2")])),
    ];
    for (at, submission) in submissions.into_iter().enumerate() {
        let before = PREPARED.load(Ordering::Relaxed);
        let batch = site.submit(submission).await.unwrap();
        site.succeeded(&batch).await;
        assert_eq!(PREPARED.load(Ordering::Relaxed) - before, 1, "submission {at}");
    }
    let digits = [("rate", "0.1000000000000000055511151231257827"), ("more", "12345678901234567890123")];
    let fields =
        [("task", "counted"), ("param.rate", digits[0].1), ("param.more", digits[1].1), ("lines", "a")];
    let batch = site.submit(Submission::Form(form(&fields))).await.unwrap();
    let record = site.service.visible(&Caller::local(), batch.id).await.unwrap();
    for (name, text) in digits {
        let written = format!("\"{name}\":{text}");
        assert!(record.params.as_str().contains(&written), "as it was typed: {:?}", record.params);
    }
    site.service.parts().engine.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_but_the_items_is_checked_before_the_first_byte_of_them() {
    let site = Site::open(built_in()).await;
    let demo = |options| NewBatch { task: "demo".to_owned(), name: None, params: None, options };
    let refused = [
        NewBatch { task: "nope".to_owned(), ..demo(Options::default()) },
        NewBatch { name: Some(" ".to_owned()), ..demo(Options::default()) },
        NewBatch { params: Json::parse(r#"{"fail_rate":"x"}"#).ok(), ..demo(Options::default()) },
        demo(Options { concurrency: Some(0), ..Options::default() }),
        demo(Options { then: Json::parse(r#"{"task":"demo","items":1}"#).ok(), ..Options::default() }),
    ];
    for new in refused {
        let touched = Arc::new(AtomicBool::new(false));
        let touch = Arc::clone(&touched);
        let bytes = chunks("a\n").inspect(move |_chunk| touch.store(true, Ordering::Relaxed));
        let body = stream(StreamFormat::Text, Box::pin(bytes));
        let refusal = site.submit(Submission::Stream(new.clone(), body)).await.unwrap_err();
        assert!(matches!(refusal.code, ErrorCode::Invalid | ErrorCode::UnknownTask), "{new:?}: {refusal:?}");
        assert!(!touched.load(Ordering::Relaxed), "{new:?}");
    }
    assert_eq!(site.service.batch_counts(&Caller::local()).await.unwrap().all, 0);
    site.service.parts().engine.drain().await;
}
