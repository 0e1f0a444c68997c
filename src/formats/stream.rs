//! A stream of bytes into items: chunk by chunk, item by item.
//!
//! Items before a fault are sent on before the fault is reported. One chunk is held at a time.

use bytes::Bytes;
use futures_util::StreamExt;

use super::body::{BodyFault, BodyHash, ByteStream};
use super::csv::decoder::CsvDecoder;
use super::csv::options::CsvOptions;
use super::encoding::{NulBytes, TextEncoding, Transcoder};
use super::file_sources::zip_spool::ZipSpool;
use super::item_kind::takes_files;
use super::item_sink::ItemSink;
use super::ndjson::NdjsonDecoder;
use super::text::TextDecoder;
use crate::protocol::{ApiError, ErrorCode, InputKind, Json};

/// How the items of a stream are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamFormat {
    /// One a line.
    Text,
    /// One JSON value a line.
    Ndjson,
    /// A header and one record an item.
    Csv(CsvOptions),
    /// A zip whose files are items.
    Zip,
}

/// A stream of items.
pub struct ItemStream {
    /// How they are written.
    pub format: StreamFormat,
    /// In which encoding.
    pub encoding: TextEncoding,
    /// The bytes.
    pub bytes: ByteStream,
    /// Bytes that were announced, if they were: fewer are a body cut short.
    pub length: Option<u64>,
    /// More bytes than these are refused as `too_large`.
    pub bytes_max: u64,
}

impl ItemStream {
    /// Reads the whole stream into `sink`, for a task that takes `input`.
    ///
    /// # Errors
    /// Why it did not come whole, or what the sink refused; the items before that are in the sink.
    pub async fn read_into(
        mut self,
        input: InputKind,
        sink: &mut impl ItemSink,
        mut hash: Option<&mut BodyHash>,
    ) -> Result<(), BodyFault> {
        if self.format == StreamFormat::Zip {
            return self.unpack_into(input, sink, hash).await;
        }
        let mut reader = StreamReader::new(self.format, self.encoding, input, self.bytes_max)?;
        while let Some(chunk) = self.bytes.next().await {
            let chunk: Bytes =
                chunk.map_err(|fault| BodyFault::of_carrier(&fault).unwrap_or_else(|| reader.cut()))?;
            if let Some(hash) = &mut hash {
                hash.update(&chunk);
            }
            reader.chunk(&chunk, sink).await?;
        }
        if self.length.is_some_and(|length| reader.bytes < length) {
            return Err(reader.cut());
        }
        reader.end(sink).await
    }

    /// A zip is put aside until it is whole: it is looked at before any file of it is an item.
    async fn unpack_into(
        mut self,
        input: InputKind,
        sink: &mut impl ItemSink,
        mut hash: Option<&mut BodyHash>,
    ) -> Result<(), BodyFault> {
        if input != InputKind::File {
            return Err(ApiError::invalid("This task takes no files: a zip has nothing else.").into());
        }
        let cut = || BodyFault::Cut(ApiError::malformed("The body was cut short."));
        let mut zip = ZipSpool::begin("body", self.bytes_max, sink)?;
        let mut bytes: u64 = 0;
        while let Some(chunk) = self.bytes.next().await {
            let chunk = chunk.map_err(|fault| BodyFault::of_carrier(&fault).unwrap_or_else(cut))?;
            bytes += chunk.len() as u64;
            if let Some(hash) = &mut hash {
                hash.update(&chunk);
            }
            zip.write(&chunk).await?;
        }
        if self.length.is_some_and(|length| bytes < length) {
            return Err(cut());
        }
        Ok(zip.unpack(sink).await?)
    }

    /// Reads the whole stream for its hash alone.
    ///
    /// # Errors
    /// `malformed` where it is cut short.
    pub async fn hash_into(mut self, hash: &mut BodyHash) -> Result<(), ApiError> {
        while let Some(chunk) = self.bytes.next().await {
            hash.update(&chunk.map_err(|_cut| ApiError::malformed("The body was cut short."))?);
        }
        Ok(())
    }
}

/// A decoder at work on one stream.
pub(super) struct StreamReader {
    transcoder: Transcoder,
    decoder: ItemDecoder,
    items: Vec<Json>,
    columns_sent: bool,
    bytes: u64,
    bytes_max: u64,
}

impl StreamReader {
    /// Of at most `bytes_max` bytes, for a task that takes `input`.
    ///
    /// # Errors
    /// `invalid` where the two do not fit, with how the task's items are sent.
    pub(super) fn new(
        format: StreamFormat,
        encoding: TextEncoding,
        input: InputKind,
        bytes_max: u64,
    ) -> Result<Self, ApiError> {
        let nul_bytes = match format {
            StreamFormat::Csv(_) => NulBytes::MeanUtf16,
            StreamFormat::Text | StreamFormat::Ndjson | StreamFormat::Zip => NulBytes::AreText,
        };
        let transcoder = Transcoder::new(encoding, nul_bytes);
        let decoder = ItemDecoder::new(format, input)?;
        Ok(Self { transcoder, decoder, items: Vec::new(), columns_sent: false, bytes: 0, bytes_max })
    }

    /// Reads one chunk.
    pub(super) async fn chunk(&mut self, chunk: &[u8], sink: &mut impl ItemSink) -> Result<(), BodyFault> {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.bytes_max {
            let max = self.bytes_max;
            return Err(
                ApiError::new(ErrorCode::TooLarge, format!("The body has more than {max} bytes.")).into()
            );
        }
        let (text, fault) = self.transcoder.push(chunk);
        let decoded = self.decoder.push(&text, &mut self.items);
        let decoded = decoded.and_then(|()| fault.map_err(|fault| self.here(fault)));
        self.send(decoded, sink).await
    }

    /// The stream has come whole.
    pub(super) async fn end(mut self, sink: &mut impl ItemSink) -> Result<(), BodyFault> {
        let (text, fault) = self.transcoder.finish();
        let decoded = self.decoder.push(&text, &mut self.items);
        let decoded = decoded
            .and_then(|()| fault.map_err(|fault| self.here(fault)))
            .and_then(|()| self.decoder.finish(&mut self.items));
        self.send(decoded, sink).await
    }

    /// A fault of the encoding, at the line that is being read.
    fn here(&self, fault: ApiError) -> ApiError {
        match fault.line {
            Some(_) => fault,
            None => fault.at_line(self.decoder.lines() + 1),
        }
    }

    /// The stream was cut.
    pub(super) fn cut(&self) -> BodyFault {
        let line = self.decoder.lines() + 1;
        BodyFault::Cut(ApiError::malformed("The body was cut short.").at_line(line))
    }

    async fn send(
        &mut self,
        decoded: Result<(), ApiError>,
        sink: &mut impl ItemSink,
    ) -> Result<(), BodyFault> {
        if !self.columns_sent && !self.decoder.columns().is_empty() {
            sink.set_columns(self.decoder.columns())?;
            self.columns_sent = true;
        }
        for item in self.items.drain(..) {
            sink.push(&item).await?;
        }
        Ok(decoded?)
    }
}

/// Bytes into items, by kind.
enum ItemDecoder {
    /// One a line.
    Text(TextDecoder),
    /// One JSON value a line.
    Ndjson(NdjsonDecoder),
    /// A header and records.
    Csv(CsvDecoder),
}

impl ItemDecoder {
    /// For items of kind `input`, where the two fit.
    fn new(format: StreamFormat, input: InputKind) -> Result<Self, ApiError> {
        match (input, format) {
            (InputKind::File, _) | (_, StreamFormat::Zip) => Err(takes_files()),
            (InputKind::Record, StreamFormat::Text) => Err(ApiError::invalid(
                "This task takes records: send text/csv, application/x-ndjson with one object a line, or JSON.",
            )),
            (InputKind::Line, StreamFormat::Text) => Ok(Self::Text(TextDecoder::default())),
            (InputKind::Line | InputKind::Record, StreamFormat::Ndjson) => {
                Ok(Self::Ndjson(NdjsonDecoder::new(input)))
            }
            (InputKind::Line | InputKind::Record, StreamFormat::Csv(options)) => {
                Ok(Self::Csv(CsvDecoder::new(options)))
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
