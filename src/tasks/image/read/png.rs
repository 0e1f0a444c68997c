//! Pictures in PNG: their head, and their pixels row by row, so that samples of 16 bits are never held together.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use image::metadata::Orientation;
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};
use png::{BitDepth, Decoder, DecodingError, Limits, Reader, Transformations};

use super::super::size::Size;
use super::{
    CHUNKS_MAX, ColourProfile, METADATA_BYTES_MAX, SIDE_PIXELS_IN_MAX, TaskContext, TaskError, changed,
    damaged, too_many_chunks, too_many_pixels, unreadable, wanted,
};

/// Bytes that the decoder may hold beside the pixels: a profile packed and unpacked, EXIF data, a row.
const DECODER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Rows that are decoded between two looks at the cancel.
const ROWS: u32 = 64;

/// What the chunks of a PNG say.
#[derive(Clone, Debug)]
pub(in super::super) struct PngHead {
    size: Size,
    channels: u8,
    sample_bits: u8,
    is_interlaced: bool,
    /// Bytes of the colour profile as it lies in the file.
    profile_bytes: Option<u32>,
    frames: u32,
}

/// Reads the head of a file.
pub(super) fn head(content: &mut BufReader<File>) -> Result<(PngHead, Orientation), TaskError> {
    let chunks = chunks(content)?;
    let reader = reader(content, TakeProfile::No)?;
    let (colour, depth) = reader.output_color_type();
    let info = reader.info();
    let orientation = info.exif_metadata.as_deref().and_then(Orientation::from_exif_chunk);
    let head = PngHead {
        size: Size { width: info.width, height: info.height },
        channels: u8::try_from(colour.samples()).unwrap_or(u8::MAX),
        sample_bits: if depth == BitDepth::Sixteen { 16 } else { 8 },
        is_interlaced: info.interlaced,
        profile_bytes: chunks.profile_bytes,
        frames: chunks.frames,
    };
    Ok((head, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// What is known of the chunks before the pixels.
#[derive(Default)]
struct Chunks {
    profile_bytes: Option<u32>,
    frames: u32,
}

/// Steps over all chunks before the pixels; source: <https://www.w3.org/TR/png-3/>.
fn chunks(content: &mut BufReader<File>) -> Result<Chunks, TaskError> {
    let mut found = Chunks { frames: 1, ..Chunks::default() };
    let rewound = content.seek(SeekFrom::Start(8));
    rewound.map_err(|error| unreadable(&error))?;
    for _ in 0..CHUNKS_MAX {
        let mut start = [0; 8];
        if content.read_exact(&mut start).is_err() {
            // The decoder says what is wrong.
            return Ok(found);
        }
        let [a, b, c, d, kind @ ..] = start;
        let length = u32::from_be_bytes([a, b, c, d]);
        let mut read = 0;
        match &kind {
            b"IDAT" | b"IEND" => return Ok(found),
            b"iCCP" => found.profile_bytes = Some(length),
            b"eXIf" if u64::from(length) > METADATA_BYTES_MAX => {
                return Err(TaskError::input(
                    "too_large",
                    "the picture has more EXIF data than the 1 MiB allowed",
                ));
            }
            b"acTL" if length >= 4 => {
                let mut frames = [0; 4];
                if content.read_exact(&mut frames).is_err() {
                    return Ok(found);
                }
                (found.frames, read) = (u32::from_be_bytes(frames).max(1), 4);
            }
            _ => {}
        }
        content.seek_relative(i64::from(length) - read + 4).map_err(|error| unreadable(&error))?;
    }
    Err(too_many_chunks())
}

/// Whether the colour profile is unpacked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TakeProfile {
    Yes,
    No,
}

/// A decoder that stands before the pixels.
fn reader(
    content: &mut BufReader<File>,
    profile: TakeProfile,
) -> Result<Reader<&mut BufReader<File>>, TaskError> {
    content.rewind().map_err(|error| unreadable(&error))?;
    let mut decoder = Decoder::new_with_limits(content, Limits { bytes: DECODER_BYTES_MAX });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(profile == TakeProfile::No);
    decoder.set_transformations(Transformations::EXPAND);
    let info = decoder.read_header_info().map_err(|error| fault(&error))?;
    if info.width > SIDE_PIXELS_IN_MAX || info.height > SIDE_PIXELS_IN_MAX {
        return Err(too_many_pixels());
    }
    decoder.read_info().map_err(|error| fault(&error))
}

fn fault(error: &DecodingError) -> TaskError {
    match error {
        DecodingError::IoError(error) => super::io_fault(error),
        DecodingError::LimitsExceeded => {
            TaskError::input("too_large", "the picture takes more than the 8 MiB allowed beside its pixels")
        }
        DecodingError::Format(_) | DecodingError::Parameter(_) => damaged(),
    }
}

impl PngHead {
    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn channels(&self) -> u8 {
        self.channels
    }

    pub(super) fn sample_bits(&self) -> u8 {
        self.sample_bits
    }

    pub(super) fn frames(&self) -> u32 {
        self.frames
    }

    /// Bytes that decoding takes beside the pixels; interlaced ones are decoded whole, as they are written.
    pub(super) fn work_bytes(&self) -> u64 {
        let pixels = self.size.pixels() * u64::from(self.channels);
        DECODER_BYTES_MAX as u64 + if self.is_interlaced && self.sample_bits == 16 { pixels } else { 0 }
    }

    /// The pixels, and the colour profile.
    pub(super) fn pixels(
        &self,
        content: &mut BufReader<File>,
        context: &TaskContext,
    ) -> Result<(DynamicImage, ColourProfile), TaskError> {
        let take = match self.profile_bytes {
            Some(bytes) if u64::from(bytes) <= METADATA_BYTES_MAX => TakeProfile::Yes,
            _ => TakeProfile::No,
        };
        let mut reader = reader(content, take)?;
        let (colour, depth) = reader.output_color_type();
        let same = (reader.info().width, reader.info().height) == (self.size.width, self.size.height)
            && colour.samples() == usize::from(self.channels)
            && (depth == BitDepth::Sixteen) == (self.sample_bits == 16)
            && reader.info().interlaced == self.is_interlaced;
        if !same {
            return Err(changed());
        }
        let profile = match reader.info().icc_profile.as_deref() {
            Some(profile) if profile.len() as u64 <= METADATA_BYTES_MAX => {
                ColourProfile::Kept(profile.to_vec())
            }
            None if self.profile_bytes.is_none() => ColourProfile::None,
            _ => ColourProfile::LeftOut,
        };
        let samples =
            if self.is_interlaced { self.whole(&mut reader) } else { self.rows(&mut reader, context) }?;
        let Size { width, height } = self.size;
        let picture = match self.channels {
            1 => GrayImage::from_raw(width, height, samples).map(DynamicImage::from),
            2 => GrayAlphaImage::from_raw(width, height, samples).map(DynamicImage::from),
            3 => RgbImage::from_raw(width, height, samples).map(DynamicImage::from),
            _ => RgbaImage::from_raw(width, height, samples).map(DynamicImage::from),
        };
        Ok((picture.ok_or_else(damaged)?, profile))
    }

    fn rows(
        &self,
        reader: &mut Reader<&mut BufReader<File>>,
        context: &TaskContext,
    ) -> Result<Vec<u8>, TaskError> {
        let row = self.size.width as usize * usize::from(self.channels);
        let mut samples = Vec::with_capacity(row * self.size.height as usize);
        for at in 0..self.size.height {
            if at % ROWS == 0 {
                wanted(context)?;
            }
            let row = reader.next_row().map_err(|error| fault(&error))?.ok_or_else(damaged)?;
            if self.sample_bits == 16 {
                samples.extend(row.data().as_chunks().0.iter().map(|sample| narrowed(*sample)));
            } else {
                samples.extend_from_slice(row.data());
            }
        }
        Ok(samples)
    }

    fn whole(&self, reader: &mut Reader<&mut BufReader<File>>) -> Result<Vec<u8>, TaskError> {
        let mut samples = vec![0; reader.output_buffer_size().ok_or_else(damaged)?];
        reader.next_frame(&mut samples).map_err(|error| fault(&error))?;
        if self.sample_bits == 16 {
            let count = samples.len() / 2;
            for at in 0..count {
                samples[at] = narrowed([samples[2 * at], samples[2 * at + 1]]);
            }
            samples.truncate(count);
            samples.shrink_to_fit();
        }
        Ok(samples)
    }
}

/// The nearest of 256 steps.
fn narrowed(sample: [u8; 2]) -> u8 {
    u8::try_from((u32::from(u16::from_be_bytes(sample)) + 128) / 257).unwrap_or(u8::MAX)
}
