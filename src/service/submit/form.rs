//! Multipart forms into batches: settings first, then files one by one into the vault.
//!
//! Owns the reading of parts in their order. Called by creates and appends. Invariant: a file is whole and synced
//! before it becomes an item; one chunk is in memory. Deliberately knows no HTTP: the parts are read already.

use bytes::Bytes;
use multer::Field;

use super::fields::{Fields, Kind};
use super::pump::{Decoder, Halt, Pump, over_bound};
use super::replay::Digest;
use super::request::{check_task, fits_count};
use super::sink::Sink;
use super::{Fed, FormBody, StreamKind};
use crate::formats::lines::utf8;
use crate::formats::multipart_bounds;
use crate::formats::preview::guess_delimiter;
use crate::protocol::{ApiError, ErrorCode, InputKind};
use crate::service::{Caller, Service};
use crate::store::Vault;

/// Bytes of one field that is no source of items; a longer one is refused.
const FIELD_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the name of a file; a longer one is refused.
const FILE_NAME_BYTES_MAX: usize = 1024;
/// Parts that bring no items (files without name and content, fields of another kind than the form's); more are refused.
const IDLE_PARTS_MAX: usize = 1_000;

/// Feeds a whole form to a new batch.
pub(super) async fn create(
    service: &Service,
    caller: &Caller,
    mut form: FormBody,
    mut digest: Option<&mut Digest>,
) -> Result<Fed, ApiError> {
    let mut fields = Fields::default();
    // Settings come first; the first part that carries items ends them.
    let first = loop {
        let Some(field) = next(&mut form).await.map_err(Halt::into_error)? else { break None };
        if source(&field).is_some() {
            break Some(field);
        }
        note_field(digest.as_deref_mut(), &field);
        let name = field.name().unwrap_or_default().to_owned();
        let text = field_text(field, &name).await.map_err(Halt::into_error)?;
        Digest::feed(digest.as_deref_mut(), text.as_bytes());
        fields.set(&name, &text)?;
    };
    let tasks = &service.parts().tasks;
    let new = fields.new_batch(tasks)?;
    let input = check_task(tasks, &new)?;
    if fields.kind == Kind::Count {
        let count = fields.count.ok_or_else(|| ApiError::invalid("The field count is missing."))?;
        fits_count(input, count)?;
        // The body has come when its end has: a browser also sends the fields of the other kinds, empty.
        rest(first, &mut form, digest).await.map_err(Halt::into_error)?;
        return Ok(Fed::Numbers(new, count));
    }
    let mut sink = Sink::new(service, caller, new);
    let mut reader = Reader { input, fields, file_bytes_max: form.file_bytes_max, digest, idle_parts: 0 };
    let fed = reader.sources(first, &mut form, service.parts().store.vault(), &mut sink).await;
    Ok(Fed::Items(sink, fed))
}

/// Feeds a whole form to an open batch.
pub(super) async fn extend(mut form: FormBody, input: InputKind, sink: &mut Sink) -> Result<(), Halt> {
    let vault = sink.vault();
    let file_bytes_max = form.file_bytes_max;
    let mut reader = Reader { input, fields: Fields::default(), file_bytes_max, digest: None, idle_parts: 0 };
    reader.sources(None, &mut form, &vault, sink).await
}

/// Reads a form for its hash alone: names, file names and contents, whatever the boundary.
pub(super) async fn digest(mut form: FormBody, digest: &mut Digest) -> Result<(), ApiError> {
    rest(None, &mut form, Some(digest)).await.map_err(Halt::into_error)
}

/// Reads a form to its end for its hash alone, from a part whose name was not taken yet.
async fn rest(
    first: Option<Field<'static>>,
    form: &mut FormBody,
    mut digest: Option<&mut Digest>,
) -> Result<(), Halt> {
    let mut part = first;
    loop {
        let mut field = match part.take() {
            Some(field) => field,
            None => match next(form).await? {
                Some(field) => field,
                None => return Ok(()),
            },
        };
        note_field(digest.as_deref_mut(), &field);
        while let Some(bytes) = chunk(&mut field).await? {
            Digest::feed(digest.as_deref_mut(), &bytes);
        }
    }
}

/// A part that carries items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    File,
    Lines,
    Csv,
}

fn source(field: &Field<'_>) -> Option<Source> {
    match field.name() {
        Some("file") => Some(Source::File),
        Some("lines") => Some(Source::Lines),
        Some("csv") => Some(Source::Csv),
        Some(_) | None => None,
    }
}

/// The reading of the parts that carry items.
struct Reader<'a> {
    input: InputKind,
    fields: Fields,
    file_bytes_max: u64,
    digest: Option<&'a mut Digest>,
    /// Parts so far that brought no items.
    idle_parts: usize,
}

impl Reader<'_> {
    async fn sources(
        &mut self,
        first: Option<Field<'static>>,
        form: &mut FormBody,
        vault: &Vault,
        sink: &mut Sink,
    ) -> Result<(), Halt> {
        let mut part = first;
        loop {
            let field = match part.take() {
                Some(field) => field,
                None => match next(form).await? {
                    Some(field) => field,
                    None => return Ok(()),
                },
            };
            note_field(self.digest.as_deref_mut(), &field);
            match source(&field) {
                Some(Source::File) => self.file(field, vault, sink).await?,
                Some(Source::Lines) => self.text(field, Source::Lines, sink).await?,
                Some(Source::Csv) => self.text(field, Source::Csv, sink).await?,
                None => {
                    let name = field.name().unwrap_or_default();
                    let detail = format!("The field {name:?} must come before the files.");
                    return Err(ApiError::invalid(detail).into());
                }
            }
        }
    }

    /// One file into the vault. A browser posts a part without name and content where nothing was chosen.
    async fn file(&mut self, mut field: Field<'static>, vault: &Vault, sink: &mut Sink) -> Result<(), Halt> {
        let name = field.file_name().unwrap_or_default().to_owned();
        let Some(mut bytes) = self.chunk(&mut field).await?.or_else(|| empty_file(&name)) else {
            return self.idle_part();
        };
        if self.skips(Kind::Files) {
            return self.drain(field).await;
        }
        if self.input != InputKind::File {
            return Err(ApiError::invalid(match self.input {
                InputKind::Line => "This task takes lines, not files: send text/plain, NDJSON or JSON.",
                InputKind::Record | InputKind::File => {
                    "This task takes records, not files: send text/csv, NDJSON or JSON."
                }
            })
            .into());
        }
        let name = file_name(&name)?;
        let mut draft = vault.draft().await.map_err(|fault| sink.file_fault(fault))?;
        loop {
            // What a full disk has left is for ends: a file that is half there does not take it.
            sink.has_room()?;
            draft.write(&bytes).await.map_err(|fault| sink.file_fault(fault))?;
            if draft.len() > self.file_bytes_max {
                let max = self.file_bytes_max;
                let detail = format!("The file {name:?} has more than {max} bytes.");
                return Err(ApiError::new(ErrorCode::TooLarge, detail).into());
            }
            match self.chunk(&mut field).await? {
                Some(more) => bytes = more,
                None => break,
            }
        }
        let stored = draft.keep(&name).await.map_err(|fault| sink.file_fault(fault))?;
        Ok(sink.push_file(&name, stored).await?)
    }

    /// Lines or a CSV, as a text or as a file.
    async fn text(&mut self, mut field: Field<'static>, source: Source, sink: &mut Sink) -> Result<(), Halt> {
        let Some(mut bytes) = self.chunk(&mut field).await? else { return self.idle_part() };
        let wanted = if source == Source::Csv { Kind::Csv } else { Kind::Lines };
        if self.skips(wanted) {
            return self.drain(field).await;
        }
        let kind = match source {
            Source::Csv => StreamKind::Csv {
                delimiter: self.fields.delimiter.unwrap_or_else(|| guess_delimiter(&bytes)),
            },
            Source::Lines | Source::File => StreamKind::Text,
        };
        let mut pump = Pump::new(Decoder::new(kind, self.input)?, self.file_bytes_max);
        loop {
            pump.chunk(&bytes, sink).await?;
            match self.chunk(&mut field).await {
                Ok(Some(more)) => bytes = more,
                Ok(None) => return pump.end(sink).await,
                Err(Halt::Cut(_)) => return Err(pump.cut()),
                Err(bad) => return Err(bad),
            }
        }
    }

    /// True where the form says that its items are of another kind.
    fn skips(&self, kind: Kind) -> bool {
        self.fields.kind != Kind::Any && self.fields.kind != kind
    }

    fn idle_part(&mut self) -> Result<(), Halt> {
        self.idle_parts += 1;
        if self.idle_parts > IDLE_PARTS_MAX {
            let detail = format!("The form has more than {IDLE_PARTS_MAX} parts that bring no items.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail).into());
        }
        Ok(())
    }

    async fn drain(&mut self, mut field: Field<'static>) -> Result<(), Halt> {
        self.idle_part()?;
        while self.chunk(&mut field).await?.is_some() {}
        Ok(())
    }

    async fn chunk(&mut self, field: &mut Field<'static>) -> Result<Option<Bytes>, Halt> {
        let bytes = chunk(field).await?;
        if let Some(bytes) = &bytes {
            Digest::feed(self.digest.as_deref_mut(), bytes);
        }
        Ok(bytes)
    }
}

/// A file of no bytes is a file if it has a name.
fn empty_file(name: &str) -> Option<Bytes> {
    (!name.is_empty()).then(Bytes::new)
}

/// The name of a file as a label.
fn file_name(name: &str) -> Result<String, ApiError> {
    if name.len() > FILE_NAME_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "The name of a file has more than {FILE_NAME_BYTES_MAX} bytes."
        )));
    }
    let label: String = name.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    Ok(if label.is_empty() { "file".to_owned() } else { label })
}

async fn next(form: &mut FormBody) -> Result<Option<Field<'static>>, Halt> {
    form.parts.next_field().await.map_err(multipart)
}

async fn chunk(field: &mut Field<'static>) -> Result<Option<Bytes>, Halt> {
    // An empty chunk says nothing.
    while let Some(bytes) = field.chunk().await.map_err(multipart)? {
        if !bytes.is_empty() {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

async fn field_text(mut field: Field<'static>, name: &str) -> Result<String, Halt> {
    let mut text = Vec::new();
    while let Some(bytes) = chunk(&mut field).await? {
        text.extend_from_slice(&bytes);
        if text.len() > FIELD_BYTES_MAX {
            let detail = format!("The field {name:?} has more than {FIELD_BYTES_MAX} bytes.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail).into());
        }
    }
    let text = utf8(&text, 1).map_err(|mut fault| {
        fault.line = None;
        fault
    })?;
    Ok(text.to_owned())
}

fn note_field(digest: Option<&mut Digest>, field: &Field<'_>) {
    if let Some(digest) = digest {
        digest.part(field.name().unwrap_or_default().as_bytes());
        digest.part(field.file_name().unwrap_or_default().as_bytes());
    }
}

fn multipart(fault: multer::Error) -> Halt {
    match fault {
        multer::Error::StreamReadFailed(cause) if multipart_bounds::is_refusal(cause.as_ref()) => {
            Halt::Bad(ApiError::new(ErrorCode::TooLarge, multipart_bounds::refusal_text()))
        }
        multer::Error::StreamReadFailed(cause) => {
            cause.downcast_ref().and_then(over_bound).unwrap_or_else(cut_short)
        }
        multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteStream => cut_short(),
        // Its own words may hold a header of kilobytes.
        multer::Error::ReadHeaderFailed(_)
        | multer::Error::DecodeHeaderName { .. }
        | multer::Error::DecodeHeaderValue { .. } => {
            Halt::Bad(ApiError::malformed("The form could not be read: a part has headers that are none."))
        }
        other => Halt::Bad(ApiError::malformed(format!("The form could not be read: {other}."))),
    }
}

fn cut_short() -> Halt {
    Halt::Cut(ApiError::malformed("The body was cut short."))
}
