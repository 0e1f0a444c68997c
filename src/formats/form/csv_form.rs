//! A form whose CSV is to be looked at before it is run: its settings, and the first bytes of the CSV.

use serde_json::Value;

use super::parts::{FormBody, FormParts};
use super::settings::FormSettings;
use crate::formats::body::BodyFault;
use crate::formats::csv::options::CsvOptions;
use crate::formats::csv::preview::{CsvHead, CsvPreview, csv_preview};
use crate::protocol::{ApiError, NewBatch};

/// Bytes of a CSV that are looked at; what comes after them is not read.
pub const HEAD_BYTES_MAX: usize = 256 * 1024;

/// A form with the first bytes of its CSV.
pub struct CsvForm {
    settings: FormSettings,
    /// The first bytes; empty where there is no CSV.
    head: Vec<u8>,
    is_whole: bool,
    /// Name of the file; empty where the CSV is a text.
    pub file_name: String,
}

/// Reads a form, its settings before or after its CSV.
///
/// # Errors
/// `invalid`, `malformed` or `too_large` for a setting; `malformed` where the form is cut short.
pub async fn read_csv_form(form: FormBody) -> Result<CsvForm, ApiError> {
    let mut parts = FormParts::new(form.parts, None);
    let (settings, file_name) = (FormSettings::default(), String::new());
    let mut read = CsvForm { settings, head: Vec::new(), is_whole: true, file_name };
    while let Some(mut part) = parts.next().await.map_err(BodyFault::into_error)? {
        match part.name().unwrap_or_default() {
            // Of the file and the text the first that holds something.
            "csv" if read.head.is_empty() => {
                read.file_name = part.file_name()?;
                while let Some(bytes) = parts.chunk(&mut part).await.map_err(BodyFault::into_error)? {
                    let room = HEAD_BYTES_MAX - read.head.len();
                    read.is_whole &= bytes.len() <= room;
                    read.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
            }
            "csv" | "lines" | "file" => parts.skip(part).await.map_err(BodyFault::into_error)?,
            // Said by a page that sends the first bytes alone.
            "csv-cut" => {
                parts.skip(part).await.map_err(BodyFault::into_error)?;
                read.is_whole = false;
            }
            name => {
                let name = name.to_owned();
                let text = parts.text(part).await.map_err(BodyFault::into_error)?;
                read.settings.set(&name, &text)?;
            }
        }
    }
    Ok(read)
}

impl CsvForm {
    /// True where there is no CSV.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// True where the first bytes are all of the CSV.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The CSV as a text; none where it is not whole, or in another encoding than UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.head).ok().filter(|_text| self.is_whole)
    }

    /// Its rows, as far as they came. What was said of columns that it does not have is forgotten: it was of another file.
    ///
    /// # Errors
    /// `invalid` with the line.
    pub fn preview(&mut self) -> Result<CsvPreview, ApiError> {
        let mut options = self.settings.csv.clone();
        let renamed = std::mem::take(&mut options.columns);
        let seen = self.rows(options.clone())?;
        options.columns = renamed.into_iter().filter(|(from, _to)| seen.header.contains(from)).collect();
        self.settings.csv.columns.clone_from(&options.columns);
        self.rows(options)
    }

    fn rows(&self, options: CsvOptions) -> Result<CsvPreview, ApiError> {
        csv_preview(CsvHead {
            bytes: &self.head,
            is_whole: self.is_whole,
            encoding: self.settings.encoding,
            first_row: self.settings.first_row,
            options,
        })
    }

    /// What a column of the file is called in the records; none where it is left out.
    #[must_use]
    pub fn called(&self, column: &str) -> Option<String> {
        self.settings.called(column)
    }

    /// The rule of a column in the grid for the parameter `param`, as it was posted.
    #[must_use]
    pub fn rule(&self, param: &str, column: &str, rule: &str) -> Option<&str> {
        self.settings.grid.rule(param, column, rule)
    }

    /// Sets a rule as if it had been posted.
    pub fn put_rule(&mut self, param: &str, column: &str, rule: &str, text: &str) {
        self.settings.grid.put(param, column, rule, text);
    }

    /// What the settings ask for so far.
    ///
    /// # Errors
    /// `invalid` where the task is missing, or the fields fit no parameters or options.
    pub fn new_batch(&self, schema_of: impl FnOnce(&str) -> Value) -> Result<NewBatch, ApiError> {
        self.settings.clone().new_batch(schema_of)
    }
}
