//! The atoms of the binary codec: how one value stands in bytes.
//!
//! `take(put(x)) == x`, and no bytes make it panic, or take more memory than they have length.

use std::fmt;

use crate::protocol::{
    AttemptOutcome, AttemptRow, BatchId, BatchRetry, BatchState, ErrorCode, FamilyId, FileRow, ItemProgress,
    ItemState, Json, NodeId, NodeState, Role, ScheduleId, SlotWork, Timestamp,
};

/// Bytes that are not what they should be: another build's, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What was expected where they failed.
    pub expected: &'static str,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for Unreadable {}

/// Bytes that have not been read yet.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte.
    ///
    /// # Errors
    /// At the end.
    pub fn byte(&mut self) -> Result<u8, Unreadable> {
        let (first, rest) = self.0.split_first().ok_or(Unreadable { expected: "another byte" })?;
        self.0 = rest;
        Ok(*first)
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// Where there are fewer.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Unreadable { expected: "more bytes" })?;
        self.0 = rest;
        Ok(taken)
    }

    /// How many values follow. Each is at least one byte long: more than are left cannot be.
    ///
    /// # Errors
    /// Where so many cannot follow.
    pub fn count(&mut self) -> Result<usize, Unreadable> {
        let count = u64::take(self)?;
        let fits = usize::try_from(count).ok().filter(|count| *count <= self.0.len());
        fits.ok_or(Unreadable { expected: "as many values as were announced" })
    }
}

/// A value that stands in bytes.
pub trait Compact: Sized {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads one.
    ///
    /// # Errors
    /// Where the bytes are no such value.
    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable>;
    /// One that says nothing, to be filled.
    fn blank() -> Self;
}

impl Compact for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut left = *self;
        while left >= 0x80 {
            out.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        let refused = Unreadable { expected: "a whole number below 2^64" };
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = input.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(refused);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(refused)
    }

    fn blank() -> Self {
        0
    }
}

impl Compact for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(*self).put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        u64::take(input)?.try_into().map_err(|_large| Unreadable { expected: "a whole number below 2^32" })
    }

    fn blank() -> Self {
        0
    }
}

impl Compact for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        match input.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Unreadable { expected: "0 or 1" }),
        }
    }

    fn blank() -> Self {
        false
    }
}

/// The powers of ten of which a number may be a whole multiple.
const SCALES: [f64; 3] = [1.0, 10.0, 1_000.0];
/// Marks a number that is a multiple of none: its eight bytes follow.
const UNSCALED: u64 = 3;
/// Whole multiples below this are exact in a float, and leave two bits for the scale.
const SCALED_MAX: f64 = 9_007_199_254_740_992.0;

impl Compact for f64 {
    /// A number with few digits after its point (rates, shares) as a whole multiple and its scale; any other as it is.
    fn put(&self, out: &mut Vec<u8>) {
        for (scale, by) in SCALES.iter().enumerate() {
            let whole = (self * by).round();
            if (0.0..SCALED_MAX).contains(&whole) && (whole / by).to_bits() == self.to_bits() {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "whole and in 0..2^53"
                )]
                return (((whole as u64) << 2) | scale as u64).put(out);
            }
        }
        UNSCALED.put(out);
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        let head = u64::take(input)?;
        let scale = usize::try_from(head & 3).ok().and_then(|scale| SCALES.get(scale));
        let Some(by) = scale else {
            let bytes = input.bytes(8)?.try_into().expect("eight bytes were taken");
            return Ok(Self::from_le_bytes(bytes));
        };
        #[expect(clippy::cast_precision_loss, reason = "was a whole number below 2^53")]
        Ok((head >> 2) as Self / by)
    }

    fn blank() -> Self {
        0.0
    }
}

impl Compact for String {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        let count = input.count()?;
        let text = std::str::from_utf8(input.bytes(count)?);
        text.map(str::to_owned).map_err(|_form| Unreadable { expected: "text in UTF-8" })
    }

    fn blank() -> Self {
        Self::new()
    }
}

impl<T: Compact> Compact for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.put(out);
            }
        }
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        Ok(if bool::take(input)? { Some(T::take(input)?) } else { None })
    }

    fn blank() -> Self {
        None
    }
}

impl<T: Compact> Compact for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        (0..input.count()?).map(|_| T::take(input)).collect()
    }

    fn blank() -> Self {
        Self::new()
    }
}

/// A range: its start, and how far it goes.
impl Compact for (u64, u64) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.wrapping_sub(self.0).put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        let from = u64::take(input)?;
        Ok((from, from.wrapping_add(u64::take(input)?)))
    }

    fn blank() -> Self {
        (0, 0)
    }
}

impl Compact for Timestamp {
    fn put(&self, out: &mut Vec<u8>) {
        let zigzag = (self.0 << 1) ^ (self.0 >> 63);
        zigzag.cast_unsigned().put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        let zigzag = u64::take(input)?;
        Ok(Self((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()))
    }

    fn blank() -> Self {
        Self(0)
    }
}

impl Compact for BatchId {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.as_u128().to_be_bytes());
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        let bytes = input.bytes(16)?.try_into().expect("sixteen bytes were taken");
        Ok(Self::from_u128(u128::from_be_bytes(bytes)))
    }

    fn blank() -> Self {
        Self::from_u128(0)
    }
}

impl Compact for ScheduleId {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.as_u128().to_be_bytes());
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        let bytes = input.bytes(16)?.try_into().expect("sixteen bytes were taken");
        Ok(Self::from_u128(u128::from_be_bytes(bytes)))
    }

    fn blank() -> Self {
        Self::from_u128(0)
    }
}

impl Compact for Json {
    fn put(&self, out: &mut Vec<u8>) {
        (self.as_str().len() as u64).put(out);
        out.extend_from_slice(self.as_str().as_bytes());
    }

    fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
        Self::parse(&String::take(input)?).map_err(|_form| Unreadable { expected: "one JSON value" })
    }

    fn blank() -> Self {
        Self::default()
    }
}

/// Newtypes around text.
macro_rules! texts {
    ($($name:ident),+) => {$(
        impl Compact for $name {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }

            fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
                String::take(input).map(Self)
            }

            fn blank() -> Self {
                Self(String::new())
            }
        }
    )+};
}

texts!(FamilyId, NodeId);

/// Words: each by its place in the list of all.
macro_rules! words {
    ($($name:ident),+) => {$(
        impl Compact for $name {
            fn put(&self, out: &mut Vec<u8>) {
                let at = Self::ALL.iter().position(|word| word == self).expect("ALL holds every word");
                (at as u64).put(out);
            }

            fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
                let at = usize::try_from(u64::take(input)?).ok();
                at.and_then(|at| Self::ALL.get(at).copied()).ok_or(Unreadable { expected: stringify!($name) })
            }

            fn blank() -> Self {
                Self::ALL[0]
            }
        }
    )+};
}

words!(BatchState, ItemState, AttemptOutcome, ErrorCode, NodeState, Role);

/// Values of several members, one after the other.
macro_rules! members {
    ($($name:ident { $($member:ident),+ })+) => {$(
        impl Compact for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$member.put(out);)+
            }

            fn take(input: &mut Input<'_>) -> Result<Self, Unreadable> {
                Ok(Self { $($member: Compact::take(input)?),+ })
            }

            fn blank() -> Self {
                Self { $($member: Compact::blank()),+ }
            }
        }
    )+};
}

members! {
    ItemProgress { fraction, note }
    FileRow { name, bytes, media_type }
    AttemptRow { attempt, generation, outcome, started_at, ended_at, error, node }
    SlotWork { batch, seq, started_at }
    BatchRetry { by, at, items, succeeded, failed, cancelled }
}
