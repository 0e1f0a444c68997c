//! JSON bodies, and what all kinds of bodies share: which task, with what, how.
//!
//! Owns the reading of `{"task","name"?,"params"?,"options"?,"items"}`. Called by creates and appends. Invariant: items
//! are kept as they were written; unknown members are refused. Deliberately checks only what needs no database.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::sink::Sink;
use crate::formats::ndjson::fits;
use crate::protocol::json::object_or_none;
use crate::protocol::limits::{ITEM_BYTES_MAX, JSON_DEPTH_MAX};
use crate::protocol::{ApiError, ErrorCode, InputKind, Json, NewBatch, Object, Options};
use crate::tasks::Registry;

/// A create, read.
pub(super) struct Create {
    /// What to run.
    pub(super) new: NewBatch,
    /// Over what.
    pub(super) items: Items,
}

/// The member `items`.
pub(super) enum Items {
    /// A list, as it was written: `[…]`, known to be JSON.
    List(Box<RawValue>),
    /// The numbers from 1.
    Count(u64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    task: String,
    name: Option<String>,
    params: Option<Json>,
    #[serde(default, deserialize_with = "object_or_none")]
    options: Option<Options>,
    items: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdditionBody {
    items: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountBody {
    count: u64,
}

/// Reads the body of a create.
pub(super) fn read_create(body: &[u8]) -> Result<Create, ApiError> {
    let Object(body): Object<CreateBody> = parse(body)?;
    let items = match body.items {
        Some(items) => read_items(items)?,
        None => Items::List(parse(b"[]")?),
    };
    let options = body.options.unwrap_or_default();
    Ok(Create { new: NewBatch { task: body.task, name: body.name, params: body.params, options }, items })
}

/// Reads the body of an append.
pub(super) fn read_addition(body: &[u8]) -> Result<Items, ApiError> {
    let Object(body): Object<AdditionBody> = parse(body)?;
    match read_items(body.items)? {
        Items::Count(_) => Err(ApiError::invalid("items: expected a list; a count is for a new batch only.")),
        list @ Items::List(_) => Ok(list),
    }
}

fn read_items(items: Box<RawValue>) -> Result<Items, ApiError> {
    match items.get().as_bytes().first() {
        Some(b'[') => Ok(Items::List(items)),
        Some(b'{') => serde_json::from_str::<CountBody>(items.get())
            .map(|body| Items::Count(body.count))
            .map_err(|fault| ApiError::invalid(format!("items: expected {{\"count\":N}}: {fault}."))),
        Some(_) | None => Err(ApiError::invalid("items: expected a list, or {\"count\":N}.")),
    }
}

/// Reads JSON: `malformed` where it is none, `invalid` where it is another shape than expected.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|fault| refuse("The body", &fault))
}

fn refuse(what: &str, fault: &serde_json::Error) -> ApiError {
    if fault.is_data() {
        ApiError::invalid(format!("{what} is not as expected: {fault}."))
    } else {
        ApiError::malformed(format!("{what} is not JSON: {fault}."))
    }
}

/// Reads JSON text given as a parameter or field `name`; an empty text is none.
///
/// # Errors
/// `malformed` where it is no JSON, `invalid` where it is another shape than expected.
pub fn parse_query_json<T: DeserializeOwned>(name: &str, text: Option<&str>) -> Result<Option<T>, ApiError> {
    match text.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|fault| refuse(name, &fault)),
    }
}

/// The values of a list, one after the other: a list of a million numbers takes no more memory than its text.
struct Values<'a> {
    rest: &'a str,
}

impl<'a> Values<'a> {
    /// Of a list that is known to be JSON.
    fn of(list: &'a RawValue) -> Self {
        Self { rest: list.get().trim_start().strip_prefix('[').unwrap_or_default() }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<&'a RawValue, ApiError>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.trim_start();
        let text = text.strip_prefix(',').unwrap_or(text);
        if text.trim_start().starts_with(']') || text.is_empty() {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        let value = values.next()?;
        self.rest = text.get(values.byte_offset()..).unwrap_or_default();
        Some(value.map_err(|fault| {
            self.rest = "";
            refuse("An item", &fault)
        }))
    }
}

/// Pushes a list of items.
pub(super) async fn push_items(items: Items, input: InputKind, sink: &mut Sink) -> Result<(), ApiError> {
    let Items::List(list) = items else { return Ok(()) };
    for (at, raw) in Values::of(&list).enumerate() {
        if input == InputKind::File {
            return Err(ApiError::invalid(
                "This task takes files: send multipart/form-data with parts named file.",
            ));
        }
        let number = at + 1;
        let item = one_line(raw?)?;
        if item.as_str().len() > ITEM_BYTES_MAX {
            let detail = format!("Item {number} has more than {ITEM_BYTES_MAX} bytes.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail));
        }
        fits(input, &item).map_err(|mut fault| {
            fault.detail = format!("Item {number}: {}", fault.detail);
            fault
        })?;
        sink.push(&item).await?;
    }
    Ok(())
}

/// The value as it was written, on one line: line ends can only stand between tokens, where a blank is as good.
fn one_line(raw: &RawValue) -> Result<Json, ApiError> {
    let text = raw.get();
    let json = if text.contains(['\n', '\r']) {
        Json::parse(&text.replace(['\n', '\r'], " "))
    } else {
        Json::parse(text)
    };
    json.map_err(|fault| refuse("An item", &fault))
}

/// Checks that a count of numbers fits the task.
pub(super) fn fits_count(input: InputKind, count: u64) -> Result<(), ApiError> {
    match input {
        InputKind::Line if count == 0 => {
            Err(ApiError::new(ErrorCode::NoItems, "A batch needs at least one item."))
        }
        InputKind::Line => Ok(()),
        InputKind::File => {
            Err(ApiError::invalid("This task takes files: send multipart/form-data with parts named file."))
        }
        InputKind::Record => Err(ApiError::invalid("This task takes records: numbers are none.")),
    }
}

/// Checks task and parameters.
pub(super) fn check_task(tasks: &Registry, new: &NewBatch) -> Result<InputKind, ApiError> {
    let params = new.params.clone().unwrap_or_default();
    if params.depth() > JSON_DEPTH_MAX {
        return Err(ApiError::invalid(format!("params: nested deeper than {JSON_DEPTH_MAX} levels.")));
    }
    match tasks.prepare(&new.task, &params) {
        None => {
            let detail = format!("There is no task named {:?}.", new.task);
            Err(ApiError::new(ErrorCode::UnknownTask, detail))
        }
        Some(Err(faults)) => Err(ApiError::invalid(format!("params: {}.", faults.join("; ")))),
        Some(Ok(_ready)) => tasks
            .input(&new.task)
            .ok_or_else(|| ApiError::new(ErrorCode::UnknownTask, "There is no such task.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_as_written() {
        let body = br#"{"task":"demo","items":[{"b":1.10, "a":2}, "x", 7, [1,
2]],"options":{"open":true}}"#;
        let create = read_create(body).unwrap();
        let Items::List(list) = create.items else { panic!("a list") };
        let texts: Vec<String> =
            Values::of(&list).map(|raw| one_line(raw.unwrap()).unwrap().as_str().to_owned()).collect();
        assert_eq!(texts, [r#"{"b":1.10, "a":2}"#, r#""x""#, "7", "[1, 2]"]);
        assert!(create.new.options.open);
    }

    #[test]
    fn values_of_a_list_are_what_a_whole_reading_gives() {
        for text in ["[]", "[ ]", "[1]", " [ 1 , 2,3 ]", r#"["a,]","[",{"b":[1,2]},[[]],null,-1.5e3,"\\\""]"#]
        {
            let list: Box<RawValue> = serde_json::from_str(text).unwrap();
            let whole: Vec<Box<RawValue>> = serde_json::from_str(text).unwrap();
            let found: Vec<&str> = Values::of(&list).map(|value| value.unwrap().get()).collect();
            assert_eq!(found, whole.iter().map(|value| value.get()).collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn faults_tell_syntax_from_shape() {
        let code = |body: &str| read_create(body.as_bytes()).map(|_| ()).unwrap_err().code;
        assert_eq!(code(""), ErrorCode::Malformed);
        assert_eq!(code("{"), ErrorCode::Malformed);
        assert_eq!(code("[]"), ErrorCode::Invalid);
        assert_eq!(code(r#"["demo","name",{},{},{"count":2}]"#), ErrorCode::Invalid);
        assert_eq!(code(r#"{"task":"demo","options":[5]}"#), ErrorCode::Invalid);
        assert_eq!(code(r#"{"task":"demo","options":{"budget":[2,50]}}"#), ErrorCode::Invalid);
        assert_eq!(code(r#"{"items":[]}"#), ErrorCode::Invalid);
        assert_eq!(code(r#"{"task":"demo","itmes":[]}"#), ErrorCode::Invalid);
        assert_eq!(code(r#"{"task":"demo","items":{"count":-1}}"#), ErrorCode::Invalid);
        assert_eq!(code(r#"{"task":"demo","items":"x"}"#), ErrorCode::Invalid);
        assert_eq!(code(r#"{"task":"demo","options":{"prio":1}}"#), ErrorCode::Invalid);
        assert!(matches!(
            read_create(br#"{"task":"demo","items":{"count":3}}"#).unwrap().items,
            Items::Count(3)
        ));
        assert!(read_addition(br#"{"items":{"count":3}}"#).is_err());
    }

    #[test]
    fn an_empty_text_is_no_json() {
        assert_eq!(parse_query_json::<Options>("options", Some(" ")).unwrap(), None);
        let fault = parse_query_json::<Options>("options", Some("{")).unwrap_err();
        assert_eq!(fault.code, ErrorCode::Malformed);
        assert!(fault.detail.contains("options"));
    }
}
