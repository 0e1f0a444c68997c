//! A form into what to run, and its parts into items and files.
//!
//! Settings come first; the first part that carries items ends them. One chunk of a part is held at a time, and a file
//! becomes an item when it is whole. In the form of a page settings may also come after: see [`FieldOrder`].

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::Value;

use super::held_parts::{HeldPart, HeldParts};
use super::parts::{FieldOrder, FormBody, FormPart, FormParts};
use super::settings::{FormKind, FormSettings, ZipFiles};
use crate::formats::body::{BodyFault, BodyHash};
use crate::formats::file_sources::folder::FolderFiles;
use crate::formats::file_sources::unpack::is_zip_name;
use crate::formats::file_sources::zip_spool::ZipSpool;
use crate::formats::item_sink::ItemSink;
use crate::formats::stream::{StreamFormat, StreamReader};
use crate::protocol::{ApiError, ErrorCode, InputKind, NewBatch};

/// Bytes of the name of a file; a longer one is refused as `invalid`.
const FILE_NAME_BYTES_MAX: usize = 1024;
/// Parts that bring no items (files without name and content, fields of another kind than the form's); more are refused
/// as `too_large`.
const IDLE_PARTS_MAX: usize = 1_000;

/// A form that is being read.
pub struct FormReader<'h> {
    parts: FormParts<'h>,
    file_bytes_max: u64,
    settings: FormSettings,
    order: FieldOrder,
    /// The part that ended the settings.
    first: Option<FormPart>,
    /// Parts that came before the settings had ended.
    held: VecDeque<HeldPart>,
    /// Parts so far that brought no items.
    idle_parts: usize,
    /// A CSV has come.
    has_csv: bool,
}

/// What a part that carries items holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartKind {
    File,
    Lines,
    Csv,
}

fn part_kind(part: &FormPart) -> Option<PartKind> {
    match part.name() {
        Some("file") => Some(PartKind::File),
        Some("lines") => Some(PartKind::Lines),
        Some("csv") => Some(PartKind::Csv),
        Some(_) | None => None,
    }
}

impl<'h> FormReader<'h> {
    /// Of `form`; what is read of it goes into `hash`.
    #[must_use]
    pub fn new(form: FormBody, hash: Option<&'h mut BodyHash>) -> Self {
        Self {
            parts: FormParts::new(form.parts, hash),
            file_bytes_max: form.file_bytes_max,
            settings: FormSettings::default(),
            order: form.order,
            first: None,
            held: VecDeque::new(),
            idle_parts: 0,
            has_csv: false,
        }
    }

    /// Reads the settings: what to run. `schema_of` gives the schema of a task's parameters, or null for a task that
    /// there is not.
    ///
    /// # Errors
    /// `invalid`, `malformed` or `too_large` for a setting; `malformed` where the form is cut short.
    pub async fn read_settings(
        &mut self,
        schema_of: impl FnOnce(&str) -> Value,
    ) -> Result<NewBatch, ApiError> {
        let mut held = match &self.order {
            FieldOrder::SettingsFirst => None,
            FieldOrder::Any(folder) => Some(HeldParts::begin(folder, self.file_bytes_max)?),
        };
        while let Some(mut part) = self.parts.next().await.map_err(BodyFault::into_error)? {
            let name = part.name().unwrap_or_default().to_owned();
            match (part_kind(&part), &mut held) {
                (None, _) => {
                    let text = self.parts.text(part).await.map_err(BodyFault::into_error)?;
                    self.settings.set(&name, &text)?;
                }
                (Some(_), None) => {
                    self.first = Some(part);
                    break;
                }
                (Some(_), Some(held)) => {
                    held.add(name, part.file_name()?)?;
                    while let Some(bytes) =
                        self.parts.chunk(&mut part).await.map_err(BodyFault::into_error)?
                    {
                        held.write(&bytes).await?;
                    }
                }
            }
        }
        if let Some(held) = held {
            self.held = held.finish().await?.into();
        }
        self.settings.new_batch(schema_of)
    }

    /// How many numbers the settings ask for; none where they ask for other items.
    ///
    /// # Errors
    /// `invalid` where they ask for numbers without how many.
    pub fn count(&self) -> Result<Option<u64>, ApiError> {
        match (self.settings.kind, self.settings.count) {
            (FormKind::Count, None) => Err(ApiError::invalid("The field count is missing.")),
            (FormKind::Count, count) => Ok(count),
            (FormKind::Any | FormKind::Files | FormKind::Lines | FormKind::Csv, _) => Ok(None),
        }
    }

    /// Which files of a folder of the server the settings ask for; none where they ask for other items.
    #[must_use]
    pub fn folder(&self) -> Option<FolderFiles> {
        let folder = self.settings.folder.clone()?;
        Some(FolderFiles { folder, pattern: self.settings.pattern.clone(), path: None })
    }

    /// Reads what is left of the form for its hash alone.
    ///
    /// # Errors
    /// Why it did not come whole.
    pub async fn skip_rest(mut self) -> Result<(), BodyFault> {
        while let Some(part) = self.next_part().await? {
            self.parts.skip(part).await?;
        }
        Ok(())
    }

    /// Reads the parts that carry items into `sink`, for a task that takes `input`.
    ///
    /// # Errors
    /// Why the form did not come whole, or what the sink refused; the items before that are in the sink.
    pub async fn read_items(mut self, input: InputKind, sink: &mut impl ItemSink) -> Result<(), BodyFault> {
        while let Some(part) = self.next_part().await? {
            match part_kind(&part) {
                Some(PartKind::File) => self.file(part, input, sink).await?,
                Some(kind @ (PartKind::Lines | PartKind::Csv)) => {
                    self.stream(part, kind, input, sink).await?;
                }
                // Of an append nothing else is a setting.
                None if part.name() == Some("unpack") => {
                    let text = self.parts.text(part).await?;
                    self.settings.set("unpack", &text)?;
                }
                None => {
                    let name = part.name().unwrap_or_default();
                    let detail = format!("The field {name:?} must come before the files.");
                    return Err(ApiError::invalid(detail).into());
                }
            }
        }
        Ok(())
    }

    async fn next_part(&mut self) -> Result<Option<FormPart>, BodyFault> {
        match self.first.take().or_else(|| self.held.pop_front().map(FormPart::Held)) {
            Some(part) => Ok(Some(part)),
            None => self.parts.next().await,
        }
    }

    /// One file.
    async fn file(
        &mut self,
        mut part: FormPart,
        input: InputKind,
        sink: &mut impl ItemSink,
    ) -> Result<(), BodyFault> {
        let name = part.file_name()?;
        let mut chunk = self.parts.chunk(&mut part).await?;
        // A browser posts a part without name and content where nothing was chosen; a file of no bytes has a name.
        if chunk.is_none() && name.is_empty() {
            return self.count_idle_part();
        }
        if self.skips(FormKind::Files) {
            return self.skip(part).await;
        }
        match input {
            InputKind::File => {}
            InputKind::Line => {
                let detail = "This task takes lines, not files: send text/plain, NDJSON or JSON.";
                return Err(ApiError::invalid(detail).into());
            }
            InputKind::Record => {
                let detail = "This task takes records, not files: send text/csv, NDJSON or JSON.";
                return Err(ApiError::invalid(detail).into());
            }
        }
        let name = label(name)?;
        if self.settings.zips == ZipFiles::Unpacked && is_zip_name(&name) {
            return self.unpack(part, chunk, &name, sink).await;
        }
        let mut file = sink.begin_file().await?;
        let mut bytes: u64 = 0;
        while let Some(some) = chunk {
            sink.write_file(&mut file, &some).await?;
            bytes += some.len() as u64;
            if bytes > self.file_bytes_max {
                return Err(self.too_large(&name).into());
            }
            chunk = self.parts.chunk(&mut part).await?;
        }
        Ok(sink.push_file(file, &name).await?)
    }

    /// One zip, whose files are items: it is looked at whole before any of them is.
    async fn unpack(
        &mut self,
        mut part: FormPart,
        mut chunk: Option<Bytes>,
        name: &str,
        sink: &mut impl ItemSink,
    ) -> Result<(), BodyFault> {
        let mut zip = ZipSpool::begin(name, self.file_bytes_max, sink)?;
        while let Some(some) = chunk {
            zip.write(&some).await?;
            chunk = self.parts.chunk(&mut part).await?;
        }
        Ok(zip.unpack(sink).await?)
    }

    fn too_large(&self, name: &str) -> ApiError {
        let max = self.file_bytes_max;
        ApiError::new(ErrorCode::TooLarge, format!("The file {name:?} has more than {max} bytes."))
    }

    /// Lines or a CSV, as a text or as a file.
    async fn stream(
        &mut self,
        mut part: FormPart,
        kind: PartKind,
        input: InputKind,
        sink: &mut impl ItemSink,
    ) -> Result<(), BodyFault> {
        let Some(mut chunk) = self.parts.chunk(&mut part).await? else { return self.count_idle_part() };
        let wanted = if kind == PartKind::Csv { FormKind::Csv } else { FormKind::Lines };
        if self.skips(wanted) {
            return self.skip(part).await;
        }
        // A page has a field for a file and one for its text: both would be the same rows twice.
        if std::mem::replace(&mut self.has_csv, kind == PartKind::Csv)
            && self.order != FieldOrder::SettingsFirst
        {
            return Err(
                ApiError::invalid("The form holds a CSV as a file and as a text: send one of them.").into()
            );
        }
        sink.name_source(&part.file_name()?);
        let format = if kind == PartKind::Csv {
            StreamFormat::Csv(self.settings.csv.clone())
        } else {
            StreamFormat::Text
        };
        let mut reader = StreamReader::new(format, self.settings.encoding, input, self.file_bytes_max)?;
        loop {
            reader.chunk(&chunk, sink).await?;
            match self.parts.chunk(&mut part).await {
                Ok(Some(more)) => chunk = more,
                Ok(None) => return reader.end(sink).await,
                Err(BodyFault::Cut(_)) => return Err(reader.cut()),
                Err(refused @ BodyFault::Refused(_)) => return Err(refused),
            }
        }
    }

    /// True where the form says that its items are of another kind.
    fn skips(&self, kind: FormKind) -> bool {
        self.settings.kind != FormKind::Any && self.settings.kind != kind
    }

    async fn skip(&mut self, part: FormPart) -> Result<(), BodyFault> {
        self.count_idle_part()?;
        self.parts.skip(part).await
    }

    fn count_idle_part(&mut self) -> Result<(), BodyFault> {
        self.idle_parts += 1;
        if self.idle_parts > IDLE_PARTS_MAX {
            let detail = format!("The form has more than {IDLE_PARTS_MAX} parts that bring no items.");
            return Err(ApiError::new(ErrorCode::TooLarge, detail).into());
        }
        Ok(())
    }
}

/// The name of a file as a label, as it came.
fn label(name: String) -> Result<String, ApiError> {
    if name.len() > FILE_NAME_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "The name of a file has more than {FILE_NAME_BYTES_MAX} bytes."
        )));
    }
    if name.contains('\0') {
        return Err(ApiError::invalid("The name of a file holds a NUL, which no system takes."));
    }
    Ok(if name.is_empty() { "file".to_owned() } else { name })
}
