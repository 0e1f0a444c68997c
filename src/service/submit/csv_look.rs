//! A CSV looked at before it is submitted: its columns, what they seem to hold, and which of its first rows would fail.
//!
//! Nothing is stored and nothing runs. What a row would fail with is what the task itself says of it.

use serde_json::Value;

use crate::formats::csv::preview::CsvPreview;
use crate::formats::form::{CsvForm, FieldOrder, FormBody, read_csv_form};
use crate::protocol::{ApiError, ErrorCode, Json, NewBatch};
use crate::service::error::internal;
use crate::service::{Action, Caller, Service, Target, may};

/// Rows that would fail and are named; how many there are is said beside them.
const FAILING_SHOWN_MAX: usize = 10;
/// Rows that are shown.
const SAMPLE_ROWS_MAX: usize = 20;
/// Columns in the grid; what others must hold is said in JSON.
pub const GRID_COLUMNS_MAX: usize = 100;

/// What a CSV looks like, for the page that is to run it.
#[derive(Clone, Debug, Default)]
pub struct CsvLook {
    /// Name of the file; empty where the CSV is a text.
    pub file_name: String,
    /// What parts the fields.
    pub delimiter: char,
    /// The encoding in which it was read, as forms name it.
    pub encoding: String,
    /// True where the first row names the columns.
    pub has_header: bool,
    /// Rows that were looked at.
    pub rows: u64,
    /// True where they are all.
    pub is_whole: bool,
    /// The CSV as a text, where it is short: a form that is posted again holds it.
    pub text: Option<String>,
    /// The parameter that says what columns must hold; none where the task has none.
    pub param: Option<String>,
    /// The types that a column may have.
    pub kinds: Vec<String>,
    /// The columns, at most [`GRID_COLUMNS_MAX`].
    pub columns: Vec<LookedColumn>,
    /// How many there are beyond those.
    pub more_columns: usize,
    /// Columns that an export had added, and that are left out.
    pub left_out: Vec<String>,
    /// The first rows, with a field per column.
    pub sample: Vec<Vec<String>>,
    /// Rows that would fail, the first of them.
    pub failing: Vec<FailingRow>,
    /// How many would.
    pub failing_count: u64,
    /// The parameters without what the grid says.
    pub other_params: Option<Json>,
    /// Why a submit would be refused as it stands.
    pub refusal: Option<String>,
    /// True where that is because nothing would be done.
    pub is_idle: bool,
}

/// A column of a CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedColumn {
    /// As the file calls it.
    pub from: String,
    /// As the records call it; none where it is left out.
    pub to: Option<String>,
    /// Name of its type; empty where it is not checked.
    pub kind: String,
    /// It must have a value.
    pub required: bool,
}

/// A row that would fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingRow {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// What it would fail with.
    pub message: String,
}

/// A form whose CSV is to be looked at, of somebody who may run its task.
pub struct CsvToLookAt {
    /// What its settings ask for so far.
    pub new: NewBatch,
    form: CsvForm,
}

impl CsvToLookAt {
    /// The CSV as a text, where it is short.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.form.text()
    }
}

impl Service {
    /// Reads the form of a page whose CSV is to be looked at.
    ///
    /// # Errors
    /// `invalid`, `malformed` or `too_large` for a setting; `not_allowed`, `unknown_task`.
    pub async fn read_csv(
        &self,
        caller: &Caller,
        parts: multer::Multipart<'static>,
    ) -> Result<CsvToLookAt, ApiError> {
        may(caller, Action::Submit, Target::Installation)?;
        let file_bytes_max = self.parts().upload_bytes_max;
        let form =
            read_csv_form(FormBody { parts, file_bytes_max, order: FieldOrder::SettingsFirst }).await?;
        let new = form.new_batch(|task| self.schema_of(task))?;
        self.may_run(caller, &new)?;
        if self.parts().tasks.info(&new.task).is_none() {
            let detail = format!("There is no task named {:?}.", new.task);
            return Err(ApiError::new(ErrorCode::UnknownTask, detail));
        }
        Ok(CsvToLookAt { new, form })
    }

    /// Looks at the CSV of a form; none where it holds none. What its parameters would be refused for is said in the look.
    ///
    /// # Errors
    /// `invalid` with the line where it cannot be read.
    pub async fn look_at_csv(&self, read: CsvToLookAt) -> Result<Option<CsvLook>, ApiError> {
        if read.form.is_empty() {
            return Ok(None);
        }
        let service = self.clone();
        // Reading and checking takes tens of milliseconds for the most that is looked at.
        let looked =
            tokio::task::spawn_blocking(move || service.look(&read.new.task, read.form, read.new.params))
                .await;
        looked.map_err(|fault| internal(&fault))?.map(Some)
    }

    fn schema_of(&self, task: &str) -> Value {
        self.parts().tasks.info(task).map(|info| info.params.to_value()).unwrap_or_default()
    }

    fn look(&self, task: &str, mut form: CsvForm, given: Option<Json>) -> Result<CsvLook, ApiError> {
        let (tasks, schema) = (&self.parts().tasks, self.schema_of(task));
        let seen = form.preview()?;
        let mut look = shown(&form, &seen);
        let (column_param, given) = (columns_param(&schema), given.unwrap_or_default());
        let in_grid = column_param.as_ref().map(|(param, _kinds)| param.as_str());
        look.other_params = Some(beside_grid(&given, in_grid));
        if let Some((param, kinds)) = column_param {
            let declared = given.to_value()[&param].clone();
            // Whoever says in JSON what some must hold leaves the others alone.
            let of_grid = |name: &String| {
                let column = look.columns.iter().find(|column| column.to.as_ref() == Some(name));
                column.is_some_and(|column| form.rule(&param, &column.from, "type").is_some())
            };
            let is_said = declared.as_object().is_some_and(|columns| !columns.keys().all(of_grid));
            let guessed = tasks.guess_columns(task, &seen.rows, seen.header.len()).unwrap_or_default();
            for (at, column) in look.columns.iter_mut().enumerate() {
                let rule = |rule| form.rule(&param, &column.from, rule).map(str::to_owned);
                let of_json = column.to.as_ref().map(|to| &declared[to]).filter(|rules| !rules.is_null());
                (column.kind, column.required) = match (rule("type"), of_json, guessed.get(at)) {
                    (Some(kind), _, _) => (kind, rule("required").as_deref() != Some("false")),
                    (None, Some(Value::String(kind)), _) => (kind.clone(), true),
                    (None, Some(rules), _) => {
                        (rules["type"].as_str().unwrap_or("text").to_owned(), rules["required"] != false)
                    }
                    (None, None, Some(guess)) if !is_said => (guess.kind.to_owned(), guess.required),
                    (None, None, _) => (String::new(), false),
                };
                form.put_rule(&param, &column.from, "type", &column.kind);
                form.put_rule(
                    &param,
                    &column.from,
                    "required",
                    if column.required { "true" } else { "false" },
                );
            }
            (look.param, look.kinds) = (Some(param), kinds);
        }
        let params = form.new_batch(|_task| schema)?.params.unwrap_or_default();
        match tasks.prepare(task, &params) {
            None => {}
            Some(Err(faults)) => look.refusal = Some(format!("{}.", faults.join("; "))),
            Some(Ok((_params, ready))) => {
                look.refusal = ready.idle().map(|reason| format!("{reason}."));
                look.is_idle = look.refusal.is_some();
                for (item, line) in seen.items.iter().zip(&seen.lines) {
                    let Some(Err(message)) = ready.foresee(item) else { continue };
                    look.failing_count += 1;
                    if look.failing.len() < FAILING_SHOWN_MAX {
                        look.failing.push(FailingRow { line: *line, message });
                    }
                }
            }
        }
        Ok(look)
    }
}

/// What is seen of a CSV without the task.
fn shown(form: &CsvForm, seen: &CsvPreview) -> CsvLook {
    let columns = seen.header.iter().take(GRID_COLUMNS_MAX);
    let sample = seen.rows.iter().take(SAMPLE_ROWS_MAX);
    CsvLook {
        file_name: form.file_name.clone(),
        delimiter: seen.delimiter,
        encoding: seen.encoding.name().to_owned(),
        has_header: seen.has_header(),
        rows: seen.rows.len() as u64,
        is_whole: form.is_whole(),
        text: form.text().map(str::to_owned),
        columns: columns
            .map(|from| LookedColumn {
                from: from.clone(),
                to: form.called(from),
                kind: String::new(),
                required: false,
            })
            .collect(),
        more_columns: seen.header.len().saturating_sub(GRID_COLUMNS_MAX),
        left_out: seen.left_out.clone(),
        sample: sample.map(|row| row.iter().take(GRID_COLUMNS_MAX).cloned().collect()).collect(),
        ..CsvLook::default()
    }
}

/// The parameters without what the grid for `param` says.
fn beside_grid(given: &Json, param: Option<&str>) -> Json {
    let without = |column: &Json| {
        let rules = column.members().unwrap_or_default().into_iter();
        Json::object(rules.filter(|(rule, _value)| rule != "type" && rule != "required"))
    };
    let members = given.members().unwrap_or_default().into_iter().map(|(name, value)| {
        if Some(name.as_str()) != param {
            return (name, value);
        }
        let columns = value.members().unwrap_or_default().into_iter();
        let columns = columns.map(|(column, rules)| (column, without(&rules)));
        (name, Json::object(columns.filter(|(_column, rules)| rules.as_str() != "{}")))
    });
    Json::object(members)
}

/// The parameter of a task that says what the columns of a CSV must hold, and the types that there are.
fn columns_param(schema: &Value) -> Option<(String, Vec<String>)> {
    let (name, property) = schema["properties"]
        .as_object()?
        .iter()
        .find(|(_name, property)| property["format"] == "csv-columns")?;
    let kinds = property["additionalProperties"]["properties"]["type"]["enum"].as_array()?;
    Some((name.clone(), kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
}
