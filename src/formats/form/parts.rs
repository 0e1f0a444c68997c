//! The parts of a form, one after the other, as their bytes come.

use std::path::PathBuf;

use bytes::Bytes;
use multer::Field;

use super::file_name::file_name;
use super::held_parts::HeldPart;
use super::multipart_bounds;
use crate::formats::body::{BodyFault, BodyHash};
use crate::protocol::{ApiError, ErrorCode};

/// Bytes of one setting; a longer one is refused as `too_large`.
const SETTING_BYTES_MAX: usize = 256 * 1024;

/// A multipart form.
pub struct FormBody {
    /// Its parts.
    pub parts: multer::Multipart<'static>,
    /// More bytes than these in one part that brings items are refused as `too_large`.
    pub file_bytes_max: u64,
    /// Where its settings stand.
    pub order: FieldOrder,
}

/// Where the settings of a form stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldOrder {
    /// Before all that brings items, which is read as it comes.
    SettingsFirst,
    /// Anywhere, as in the form of a page: what brings items is put aside in this folder until the settings are known.
    Any(PathBuf),
}

/// A part of a form.
pub(super) enum FormPart {
    /// Its content is still to come.
    Coming(Field<'static>),
    /// It was put aside.
    Held(HeldPart),
}

impl FormPart {
    /// Name of the field.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Coming(field) => field.name(),
            Self::Held(part) => Some(&part.name),
        }
    }

    /// Name of the file; empty where the part is none.
    ///
    /// # Errors
    /// `invalid` where it is in an encoding that cannot be read.
    pub(super) fn file_name(&self) -> Result<String, ApiError> {
        match self {
            Self::Coming(field) => file_name(field.headers()),
            Self::Held(part) => Ok(part.file_name.clone()),
        }
    }
}

/// The parts that are still to come, and the hash of those that came: of names, file names and contents, whatever the
/// boundary.
pub(super) struct FormParts<'h> {
    parts: multer::Multipart<'static>,
    hash: Option<&'h mut BodyHash>,
}

impl<'h> FormParts<'h> {
    pub(super) fn new(parts: multer::Multipart<'static>, hash: Option<&'h mut BodyHash>) -> Self {
        Self { parts, hash }
    }

    /// The next part, its content still to be read; none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<FormPart>, BodyFault> {
        let part = self.parts.next_field().await.map_err(fault_of)?;
        if let (Some(part), Some(hash)) = (&part, &mut self.hash) {
            hash.part(part.name().unwrap_or_default().as_bytes());
            hash.part(file_name(part.headers()).unwrap_or_default().as_bytes());
        }
        Ok(part.map(FormPart::Coming))
    }

    /// The next bytes of a part, never none of them; none after its last.
    pub(super) async fn chunk(&mut self, part: &mut FormPart) -> Result<Option<Bytes>, BodyFault> {
        let part = match part {
            FormPart::Coming(field) => field,
            FormPart::Held(held) => return Ok(held.chunk().await?),
        };
        while let Some(bytes) = part.chunk().await.map_err(fault_of)? {
            if !bytes.is_empty() {
                if let Some(hash) = &mut self.hash {
                    hash.update(&bytes);
                }
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The content of a setting.
    pub(super) async fn text(&mut self, mut part: FormPart) -> Result<String, BodyFault> {
        let mut text = Vec::new();
        while let Some(bytes) = self.chunk(&mut part).await? {
            text.extend_from_slice(&bytes);
            if text.len() > SETTING_BYTES_MAX {
                let name = part.name().unwrap_or_default();
                let detail = format!("The field {name:?} has more than {SETTING_BYTES_MAX} bytes.");
                return Err(ApiError::new(ErrorCode::TooLarge, detail).into());
            }
        }
        String::from_utf8(text).map_err(|fault| {
            let at = fault.utf8_error().valid_up_to() + 1;
            let name = part.name().unwrap_or_default();
            ApiError::invalid(format!("The field {name:?} is no UTF-8: byte {at} is none.")).into()
        })
    }

    /// Reads a part to its end for its hash alone.
    pub(super) async fn skip(&mut self, mut part: FormPart) -> Result<(), BodyFault> {
        while self.chunk(&mut part).await?.is_some() {}
        Ok(())
    }
}

fn fault_of(fault: multer::Error) -> BodyFault {
    match fault {
        multer::Error::StreamReadFailed(cause) if multipart_bounds::is_head_refusal(cause.as_ref()) => {
            BodyFault::Refused(ApiError::new(ErrorCode::TooLarge, multipart_bounds::head_refusal_text()))
        }
        multer::Error::StreamReadFailed(cause) => {
            cause.downcast_ref().and_then(BodyFault::of_carrier).unwrap_or_else(cut_short)
        }
        multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteStream => cut_short(),
        // Its own words may hold a header of kilobytes.
        multer::Error::ReadHeaderFailed(_)
        | multer::Error::DecodeHeaderName { .. }
        | multer::Error::DecodeHeaderValue { .. } => BodyFault::Refused(ApiError::malformed(
            "The form could not be read: a part has headers that are none.",
        )),
        other => BodyFault::Refused(ApiError::malformed(format!("The form could not be read: {other}."))),
    }
}

fn cut_short() -> BodyFault {
    BodyFault::Cut(ApiError::malformed("The body was cut short."))
}
