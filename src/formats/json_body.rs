//! JSON bodies: what to run, and over which items.
//!
//! A body is held whole by whoever passes it on, and read in place: an item is a slice of it until it is sent on, so a list
//! of a million numbers takes no more memory than its text. Items are kept as they were written; unknown members are
//! refused.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::file_sources::folder::FolderFiles;
use super::item_kind::{check_value, takes_files};
use super::item_sink::ItemSink;
use crate::protocol::json::object_or_none;
use crate::protocol::limits::ITEM_BYTES_MAX;
use crate::protocol::{ApiError, ErrorCode, InputKind, Json, NewBatch, Object, Options};

/// What the body of a create asks for.
pub struct JsonCreate<'a> {
    /// What to run.
    pub new: NewBatch,
    /// Over what.
    pub items: JsonItems<'a>,
}

/// The member `items`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonItems<'a> {
    /// A list.
    List(JsonList<'a>),
    /// The numbers from 1.
    Count(u64),
    /// Files of a folder of the server.
    Folder(FolderFiles),
}

/// A list as it was written: `[…]`, known to be JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonList<'a>(&'a str);

/// `{"task","name"?,"params"?,"options"?,"items"?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateMembers<'a> {
    task: String,
    name: Option<String>,
    params: Option<Json>,
    #[serde(default, deserialize_with = "object_or_none")]
    options: Option<Options>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
}

/// `{"items"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdditionMembers<'a> {
    #[serde(borrow)]
    items: &'a RawValue,
}

/// What may stand in place of a list.
const SOURCES: &str = "{\"count\":N} or {\"folder\":NAME,\"pattern\"?,\"path\"?}";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceMembers {
    count: Option<u64>,
    folder: Option<String>,
    pattern: Option<String>,
    path: Option<String>,
}

/// `{"upload"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadMembers {
    upload: String,
}

/// The member `items` of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddedItems<'a> {
    /// A list.
    List(JsonList<'a>),
    /// Files of a folder of the server.
    Folder(FolderFiles),
}

/// Reads the body of a create.
///
/// # Errors
/// `malformed` where it is no JSON, `invalid` where it is another shape than expected.
pub fn read_create(body: &[u8]) -> Result<JsonCreate<'_>, ApiError> {
    let Object(body): Object<CreateMembers<'_>> = parse(body)?;
    let items = match body.items {
        Some(items) => read_items(items)?,
        None => JsonItems::List(JsonList("[]")),
    };
    let options = body.options.unwrap_or_default();
    Ok(JsonCreate { new: NewBatch { task: body.task, name: body.name, params: body.params, options }, items })
}

/// Reads the body of an append.
///
/// # Errors
/// As [`read_create`].
pub fn read_addition(body: &[u8]) -> Result<AddedItems<'_>, ApiError> {
    let Object(body): Object<AdditionMembers<'_>> = parse(body)?;
    match read_items(body.items)? {
        JsonItems::Count(_) => {
            Err(ApiError::invalid("items: expected a list; a count is for a new batch only."))
        }
        JsonItems::List(list) => Ok(AddedItems::List(list)),
        JsonItems::Folder(files) => Ok(AddedItems::Folder(files)),
    }
}

fn read_items(items: &RawValue) -> Result<JsonItems<'_>, ApiError> {
    match items.get().as_bytes().first() {
        Some(b'[') => Ok(JsonItems::List(JsonList(items.get()))),
        Some(b'{') => read_source(items.get()),
        Some(_) | None => Err(ApiError::invalid(format!("items: expected a list, or {SOURCES}."))),
    }
}

/// `{"count"}` or `{"folder"}`
fn read_source(text: &str) -> Result<JsonItems<'_>, ApiError> {
    let members: SourceMembers = serde_json::from_str(text)
        .map_err(|fault| ApiError::invalid(format!("items: expected {SOURCES}: {fault}.")))?;
    match members {
        SourceMembers { count: Some(count), folder: None, pattern: None, path: None } => {
            Ok(JsonItems::Count(count))
        }
        SourceMembers { count: None, folder: Some(folder), pattern, path } => {
            Ok(JsonItems::Folder(FolderFiles { folder, pattern, path }))
        }
        _ => Err(ApiError::invalid(format!("items: expected {SOURCES}."))),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
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
pub fn parse_setting<T: DeserializeOwned>(name: &str, text: Option<&str>) -> Result<Option<T>, ApiError> {
    match text.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|fault| refuse(name, &fault)),
    }
}

impl JsonList<'_> {
    /// True where there is no item in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        ListValues::of(self.0).next().is_none()
    }

    /// Reads the items into `sink`, for a task that takes `input`.
    ///
    /// # Errors
    /// `invalid` or `too_large` for an item that the task does not take, with its number; what the sink refused. The items
    /// before that are in the sink.
    pub async fn read_into(self, input: InputKind, sink: &mut impl ItemSink) -> Result<(), ApiError> {
        if input == InputKind::File {
            let ids = self.upload_ids()?;
            return if ids.is_empty() { Ok(()) } else { sink.push_uploads(ids).await };
        }
        for (at, raw) in ListValues::of(self.0).enumerate() {
            let number = at + 1;
            let item = one_line(raw?)?;
            if sent_bytes(&item) > ITEM_BYTES_MAX {
                let detail = format!("Item {number} has more than {ITEM_BYTES_MAX} bytes.");
                return Err(ApiError::new(ErrorCode::TooLarge, detail));
            }
            check_value(input, &item).map_err(|mut fault| {
                fault.detail = format!("Item {number}: {}", fault.detail);
                fault
            })?;
            sink.push(&item).await?;
        }
        Ok(())
    }

    /// The uploads that the items name, each once.
    fn upload_ids(self) -> Result<Vec<String>, ApiError> {
        let (mut ids, mut seen) = (Vec::new(), HashSet::new());
        for (at, raw) in ListValues::of(self.0).enumerate() {
            let number = at + 1;
            let refused = |why: String| ApiError::invalid(format!("Item {number}: {why}"));
            let members: Object<UploadMembers> =
                serde_json::from_str(raw?.get()).map_err(|_shape| refused(takes_files().detail))?;
            let id = members.0.upload;
            if !seen.insert(id.clone()) {
                return Err(refused(format!("the upload {id:?} is named twice; each is one item.")));
            }
            ids.push(id);
        }
        Ok(ids)
    }
}

/// Bytes of an item: of a text, those that it stands for, as where it is sent as a line.
fn sent_bytes(item: &Json) -> usize {
    let written = item.as_str();
    if written.len() > ITEM_BYTES_MAX && written.starts_with('"') {
        item.display_text().len()
    } else {
        written.len()
    }
}

/// The values of a list, one after the other: a list of a million numbers takes no more memory than its text.
struct ListValues<'a> {
    rest: &'a str,
}

impl<'a> ListValues<'a> {
    /// Of `list`, which is known to be JSON: `[…]`.
    fn of(list: &'a str) -> Self {
        Self { rest: list.trim_start().strip_prefix('[').unwrap_or_default() }
    }
}

impl<'a> Iterator for ListValues<'a> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_as_written() {
        let body = br#"{"task":"demo","items":[{"b":1.10, "a":2}, "x", 7, [1,
2]],"options":{"open":true}}"#;
        let create = read_create(body).unwrap();
        let JsonItems::List(JsonList(list)) = create.items else { panic!("a list") };
        let texts: Vec<String> =
            ListValues::of(list).map(|raw| one_line(raw.unwrap()).unwrap().as_str().to_owned()).collect();
        assert_eq!(texts, [r#"{"b":1.10, "a":2}"#, r#""x""#, "7", "[1, 2]"]);
        assert!(create.new.options.open);
    }

    #[test]
    fn values_of_a_list_are_what_a_whole_reading_gives() {
        for text in ["[]", "[ ]", "[1]", " [ 1 , 2,3 ]", r#"["a,]","[",{"b":[1,2]},[[]],null,-1.5e3,"\\\""]"#]
        {
            let whole: Vec<Box<RawValue>> = serde_json::from_str(text).unwrap();
            let found: Vec<&str> = ListValues::of(text).map(|value| value.unwrap().get()).collect();
            assert_eq!(found, whole.iter().map(|value| value.get()).collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn items_are_read_in_place() {
        let body = format!(r#"{{"task":"demo","items":[{}"é"]}}"#, "7, ".repeat(100_000)).into_bytes();
        let JsonItems::List(JsonList(list)) = read_create(&body).unwrap().items else { panic!("a list") };
        let held = body.as_ptr_range();
        let mut count = 0;
        for value in ListValues::of(list) {
            let value = value.unwrap().get().as_bytes().as_ptr_range();
            assert!(held.start <= value.start && value.end <= held.end, "a slice of the body");
            count += 1;
        }
        assert_eq!(count, 100_001);
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
            JsonItems::Count(3)
        ));
        assert!(read_addition(br#"{"items":{"count":3}}"#).is_err());
    }

    #[test]
    fn an_empty_text_is_no_json() {
        assert_eq!(parse_setting::<Options>("options", Some(" ")).unwrap(), None);
        let fault = parse_setting::<Options>("options", Some("{")).unwrap_err();
        assert_eq!(fault.code, ErrorCode::Malformed);
        assert!(fault.detail.contains("options"));
    }
}
