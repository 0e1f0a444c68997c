//! New batch: what, over what, how; one button that says what will happen.
//!
//! ```text
//! mod      the task cards and the form      options   the folded options
//! sources  files, lines, numbers            queue     the files of this tab and their progress
//! start    when it is to start, in the person's own zone
//! csv_source  the rows of a CSV             fitting   which tasks take what was dropped
//! adding   the rest of an upload that stopped
//! ```
//!
//! Without scripts it is one multipart form; what it brings is put aside by the server until the settings after it are known.

mod adding;
mod csv_source;
mod fitting;
mod options;
mod queue;
mod sources;
mod start;

use leptos::ev::SubmitEvent;
use leptos::html::Form;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos::server_fn::error::ServerFnUrlError;

pub use self::csv_source::{CsvDraft, LOOK_PATH};
use super::title::titled;
use crate::app::actions::{SubmitForm, load_batch, load_folders, load_parent, load_tasks};
use crate::app::components::{FieldKind, ParamsForm, empty_panel, fill, flash, panel, param_fields};
use crate::app::router::{use_address, use_router};
use crate::app::upload::{self, UploadContent, UploadPhase, use_upload};
use crate::client::words;
use crate::protocol::{ApiError, FolderList, InputKind, ParentBatch, TaskInfo, TaskPage};

/// The page.
#[component]
pub fn NewBatchPage() -> impl IntoView {
    let address = use_address();
    let parent =
        Memo::new(move |_| address.with(|address| (address.asked("parent"), address.asked("batch"))));
    let asked = Resource::new(
        move || parent.get(),
        |(parent, batch)| async {
            let batch = match batch {
                Some(batch) => Some(load_batch(batch).await?),
                None => None,
            };
            let tasks = load_tasks().await?;
            let folders = load_folders().await?;
            let parent = match parent {
                Some(parent) => load_parent(parent).await?,
                None => None,
            };
            Ok((tasks, folders, parent, batch))
        },
    );
    titled(|| "New batch".into());
    view! {
        <section class="page">
            <h1>"New batch"</h1>
            {flash(refused())}
            {panel(asked, |(page, folders, parent, batch)| match batch {
                Some(batch) => adding::adding(batch),
                None => choose(page, folders, parent),
            })}
        </section>
    }
}

/// What the last post without scripts was refused for: the router hands it on from the address.
fn refused() -> Option<ApiError> {
    if let Some(draft) = use_context::<CsvDraft>() {
        return draft.refused;
    }
    let error = use_context::<leptos::server::ServerActionError>()?;
    (error.path() == SubmitForm::PATH).then(|| ServerFnUrlError::<ApiError>::decode_err(error.err()))
}

/// What: one card a task, each a link, so that it works without scripts.
fn choose(page: TaskPage, folders: FolderList, parent: Option<ParentBatch>) -> AnyView {
    if page.tasks.is_empty() {
        return empty_panel("No task is declared: ask whoever runs this installation.");
    }
    let address = use_address();
    let held = use_upload();
    let tasks = StoredValue::new(page.tasks);
    let chosen = Memo::new(move |_| {
        let asked = address.with(|address| address.asked("task"));
        let kind = held.entries.with(|entries| fitting::kind(entries));
        tasks.with_value(|tasks| {
            let named = tasks.iter().find(|task| asked.as_deref() == Some(task.name.as_str()));
            let fitting = || kind.and_then(|kind| fitting::best(kind, tasks));
            named.or_else(fitting).or_else(|| tasks.first()).cloned()
        })
    });
    let from = parent.as_ref().map(|parent| format!("&parent={}", parent.batch.id)).unwrap_or_default();
    let card = |task: &TaskInfo| {
        let name = task.name.clone();
        let current = move || chosen.with(|chosen| chosen.as_ref().is_some_and(|chosen| chosen.name == name));
        view! {
            <a class="card task-card" href=format!("/new?task={}{from}", words::path_segment(&task.name)) aria-current=move || current().then_some("true")>
                <strong>{words::shown(&task.title)}</strong>
                <span>{words::shown(&task.description)}</span>
                <span class="hint">{takes(task.input)}</span>
            </a>
        }
    };
    let cards: Vec<_> = tasks.with_value(|tasks| tasks.iter().map(card).collect());
    view! {
        <section class="part">
            <h2><span class="part-number">"1"</span> " What"</h2>
            <nav class="cards" aria-label="Task">{cards}</nav>
            {move || fitting::others(held, &chosen.get()?, &tasks.get_value())}
        </section>
        {move || chosen.get().map(|task| TaskForm(TaskFormProps { task, folders: folders.clone(), parent: parent.clone() }))}
    }
    .into_any()
}

fn takes(input: InputKind) -> &'static str {
    match input {
        InputKind::File => "takes files",
        InputKind::Line => "takes lines",
        InputKind::Record => "takes the rows of a CSV",
    }
}

/// Over what it is to run, as far as the page knows: nothing before scripts run.
#[derive(Clone, Copy)]
pub struct Over {
    /// How many items, as the button says it.
    pub items: RwSignal<Option<String>>,
    /// Why nothing would be done: then it does not run.
    pub idle: RwSignal<Option<String>>,
}

/// Over what, how, and the button.
#[component]
fn TaskForm(
    /// What to run.
    task: TaskInfo,
    /// Folders of the server whose files may be items.
    folders: FolderList,
    /// The batch from whose results the items come.
    parent: Option<ParentBatch>,
) -> impl IntoView {
    let held = use_upload();
    let form = NodeRef::<Form>::new();
    let draft = use_context::<CsvDraft>();
    let (items, idle) = draft.clone().map_or((None, None), |draft| (draft.over, draft.idle));
    let over = Over { items: RwSignal::new(items), idle: RwSignal::new(idle) };
    let router = use_router();
    let input = task.input;
    let submit = move |event: SubmitEvent| {
        let Some(form) = form.get_untracked() else { return };
        event.prevent_default();
        if held.is_busy() || over.idle.with_untracked(Option::is_some) {
            return;
        }
        let of_server = over.items.with_untracked(Option::is_some);
        if input == InputKind::File && !of_server && held.entries.with_untracked(Vec::is_empty) {
            held.phase.set(UploadPhase::Refused("Choose or drop at least one file.".into()));
            return;
        }
        let what =
            if input == InputKind::File && !of_server { UploadContent::Queue } else { UploadContent::Form };
        upload::send(held, form, what, move |batch| {
            router.go(&format!("/batches/{batch}"));
        });
    };
    let title = words::shown(&task.title);
    let mut fields = param_fields(&task.params);
    if let Some(parent) = parent.as_ref().filter(|parent| parent.task == task.name) {
        fill(&mut fields, &parent.params);
    }
    let name = draft.as_ref().and_then(|draft| draft.name.clone());
    if let Some(params) = draft.as_ref().and_then(|draft| draft.params.as_ref()) {
        fill(&mut fields, params);
    }
    // Without scripts a CSV is looked at before it runs: what its columns must hold is said on the page that comes back.
    let is_looked_at = draft.as_ref().is_some_and(|draft| !draft.html.is_empty());
    let looks = input == InputKind::Record
        && !is_looked_at
        && fields.iter().any(|field| field.kind == FieldKind::Columns);
    let look_first = looks.then_some(LOOK_PATH);
    let from = parent.map(|parent| from_parent(&parent));
    let label = move || match (input, over.items.get(), held.entries.with(Vec::len)) {
        _ if over.idle.get().is_some() => over.idle.get().unwrap_or_default(),
        (InputKind::File, None, 0) | (InputKind::Line | InputKind::Record, None, _) => format!("Run {title}"),
        (InputKind::File, None, files) => {
            format!("Run {title} over {}", words::counted(files as u64, "file"))
        }
        (_, Some(over), _) => format!("Run {title} over {over}"),
    };
    view! {
        <form class="new-batch" method="post" enctype="multipart/form-data" action=SubmitForm::url() node_ref=form on:submit=submit>
            <input type="hidden" name="task" value=task.name.clone() />
            {from}
            <section class="part">
                <h2><span class="part-number">"2"</span> " Over what"</h2>
                {sources::sources(input, over, folders)}
            </section>
            <section class="part">
                <h2><span class="part-number">"3"</span> " How"</h2>
                <ParamsForm fields=fields />
                {options::options(name)}
            </section>
            <div class="submit-row">
                <button class="button button-primary button-large" formaction=look_first disabled=move || held.is_busy() || over.idle.with(Option::is_some)>{label}</button>
                <span role="status">{move || phase_words(&held.phase.get(), held.done.get(), held.entries.with(Vec::len), held.sent_bytes.get())}</span>
            </div>
        </form>
    }
}

/// The batch it comes from: told, and posted.
fn from_parent(parent: &ParentBatch) -> AnyView {
    let batch = &parent.batch;
    view! {
        <input type="hidden" name="option.parent" value=batch.id.to_string() />
        <p class="hint">
            "Linked to " <a href=format!("/batches/{}", batch.id)>{format!("#{} {}", batch.number, words::name(&batch.name))}</a>
            ", whose rows these are."
        </p>
    }
    .into_any()
}

fn phase_words(phase: &UploadPhase, done: usize, files: usize, sent: u64) -> AnyView {
    match phase {
        UploadPhase::Idle => ().into_any(),
        UploadPhase::Sending if files == 0 => view! { <span class="hint">{format!("Sent {}", words::bytes(sent))}</span> }.into_any(),
        UploadPhase::Sending => {
            let words = format!("{} of {} sent · {}", words::thousands(done as u64), words::counted(files as u64, "file"), words::bytes(sent));
            view! { <span class="hint">{words}</span> }.into_any()
        }
        UploadPhase::Waiting { seconds } => {
            view! { <span class="hint">{format!("No contact. Goes on by itself in {seconds} s; nothing is sent twice.")}</span> }.into_any()
        }
        UploadPhase::Refused(reason) => view! { <span class="flash" role="alert">{words::shown(reason)}</span> }.into_any(),
    }
}
