//! A stream of bytes into a sink: chunk by chunk, item by item, as fast as items are committed.
//!
//! Owns the loop, the choice of decoder and the byte bound. Called by creates, appends and forms. Invariant: items
//! before a fault are pushed before the fault is told; one chunk is held at a time, so a slow database slows the
//! client. Deliberately makes and ends no batch.

use bytes::Bytes;
use futures_util::StreamExt;

use super::replay::Digest;
use super::sink::Sink;
use super::{ItemStream, StreamKind};
use crate::formats::csv::CsvDecoder;
use crate::formats::ndjson::NdjsonDecoder;
use crate::formats::text::TextDecoder;
use crate::protocol::{ApiError, ErrorCode, InputKind, Json};

/// Why a body did not come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// The bytes stopped before their end.
    Cut(ApiError),
    /// What came is not acceptable, or could not be stored.
    Bad(ApiError),
}

impl Halt {
    /// The refusal itself.
    pub(super) fn into_error(self) -> ApiError {
        match self {
            Self::Cut(error) | Self::Bad(error) => error,
        }
    }
}

impl From<ApiError> for Halt {
    fn from(error: ApiError) -> Self {
        Self::Bad(error)
    }
}

/// Bytes into items, by kind.
pub(super) enum Decoder {
    /// One a line.
    Text(TextDecoder),
    /// One JSON value a line.
    Ndjson(NdjsonDecoder),
    /// A header and records.
    Csv(CsvDecoder),
}

impl Decoder {
    /// For items of kind `input`, where the two fit.
    pub(super) fn new(kind: StreamKind, input: InputKind) -> Result<Self, ApiError> {
        match (input, kind) {
            (InputKind::File, _) => Err(ApiError::invalid(
                "This task takes files: send multipart/form-data with parts named file.",
            )),
            (InputKind::Record, StreamKind::Text) => Err(ApiError::invalid(
                "This task takes records: send text/csv, application/x-ndjson with one object a line, or JSON.",
            )),
            (InputKind::Line, StreamKind::Text) => Ok(Self::Text(TextDecoder::default())),
            (InputKind::Line | InputKind::Record, StreamKind::Ndjson) => {
                Ok(Self::Ndjson(NdjsonDecoder::new(input)))
            }
            (InputKind::Line | InputKind::Record, StreamKind::Csv { delimiter }) => {
                Ok(Self::Csv(CsvDecoder::new(delimiter)))
            }
        }
    }

    fn push(&mut self, bytes: &[u8], into: &mut Vec<Json>) -> Result<(), ApiError> {
        match self {
            Self::Text(decoder) => decoder.push(bytes, into),
            Self::Ndjson(decoder) => decoder.push(bytes, into),
            Self::Csv(decoder) => decoder.push(bytes, into),
        }
    }

    fn finish(&mut self, into: &mut Vec<Json>) -> Result<(), ApiError> {
        match self {
            Self::Text(decoder) => decoder.finish(into),
            Self::Ndjson(decoder) => decoder.finish(into),
            Self::Csv(decoder) => decoder.finish(into),
        }
    }

    fn columns(&self) -> &[String] {
        match self {
            Self::Text(_) | Self::Ndjson(_) => &[],
            Self::Csv(decoder) => decoder.columns(),
        }
    }

    fn lines(&self) -> u64 {
        match self {
            Self::Text(decoder) => decoder.lines(),
            Self::Ndjson(decoder) => decoder.lines(),
            Self::Csv(decoder) => decoder.lines(),
        }
    }
}

/// A decoder at work on one stream.
pub(super) struct Pump {
    decoder: Decoder,
    items: Vec<Json>,
    columns_told: bool,
    bytes: u64,
    bytes_max: u64,
}

impl Pump {
    /// With at most `bytes_max` bytes.
    pub(super) fn new(decoder: Decoder, bytes_max: u64) -> Self {
        Self { decoder, items: Vec::new(), columns_told: false, bytes: 0, bytes_max }
    }

    /// Takes one chunk.
    pub(super) async fn chunk(&mut self, chunk: &[u8], sink: &mut Sink) -> Result<(), Halt> {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.bytes_max {
            let max = self.bytes_max;
            return Err(
                ApiError::new(ErrorCode::TooLarge, format!("The body has more than {max} bytes.")).into()
            );
        }
        let decoded = self.decoder.push(chunk, &mut self.items);
        self.give(decoded, sink).await
    }

    /// The stream has come whole.
    pub(super) async fn end(mut self, sink: &mut Sink) -> Result<(), Halt> {
        let decoded = self.decoder.finish(&mut self.items);
        self.give(decoded, sink).await
    }

    /// The stream was cut.
    pub(super) fn cut(&self) -> Halt {
        let line = self.decoder.lines() + 1;
        Halt::Cut(ApiError::malformed("The body was cut short.").at_line(line))
    }

    async fn give(&mut self, decoded: Result<(), ApiError>, sink: &mut Sink) -> Result<(), Halt> {
        if !self.columns_told && !self.decoder.columns().is_empty() {
            sink.set_columns(self.decoder.columns())?;
            self.columns_told = true;
        }
        for item in self.items.drain(..) {
            sink.push(&item).await?;
        }
        Ok(decoded?)
    }
}

/// The refusal of whoever carries a body, if that is what `fault` says: it is over a bound, or its sender may no longer
/// come in.
pub(super) fn over_bound(fault: &std::io::Error) -> Option<Halt> {
    use std::io::ErrorKind;
    match fault.kind() {
        ErrorKind::FileTooLarge => {
            let detail = "The body is over the limit of this server.";
            Some(Halt::Bad(ApiError::new(ErrorCode::TooLarge, detail)))
        }
        ErrorKind::PermissionDenied => {
            let detail = "The body was cut short: its sender may no longer come in.";
            Some(Halt::Cut(ApiError::new(ErrorCode::NotSignedIn, detail)))
        }
        _ => None,
    }
}

/// Feeds a whole stream to `sink`.
pub(super) async fn stream(
    mut stream: ItemStream,
    input: InputKind,
    sink: &mut Sink,
    mut digest: Option<&mut Digest>,
) -> Result<(), Halt> {
    let mut pump = Pump::new(Decoder::new(stream.kind, input)?, stream.bytes_max);
    while let Some(chunk) = stream.bytes.next().await {
        let chunk: Bytes = chunk.map_err(|fault| over_bound(&fault).unwrap_or_else(|| pump.cut()))?;
        Digest::feed(digest.as_deref_mut(), &chunk);
        pump.chunk(&chunk, sink).await?;
    }
    if stream.length.is_some_and(|length| pump.bytes < length) {
        return Err(pump.cut());
    }
    pump.end(sink).await
}
