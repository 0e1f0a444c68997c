//! Rows in the binary codec: whole, or only the members that changed.
//!
//! A row that is taken from [`Fields::put_whole`] equals the one put; [`Fields::assign`] of what differs makes an
//! older row equal to the newer. `rev` stands beside the members, in the frame.

use super::values::{Compact, Input, Unreadable};
use crate::protocol::item::LogPart;
use crate::protocol::{Batch, Family, ItemLive, ItemRow, Node, PulseBucket, Rev, StripCell};

/// Which members of a row: bit `i` for member `i` of its list.
pub type FieldSet = u32;

/// A row by its members.
pub trait Fields: Sized {
    /// Members, `rev` not among them.
    const COUNT: usize;
    /// Members that differ.
    fn differing(&self, other: &Self) -> FieldSet;
    /// Appends these members.
    fn put(&self, which: FieldSet, out: &mut Vec<u8>);
    /// A row of which only these members say something.
    ///
    /// # Errors
    /// Where the bytes are no such members.
    fn take(which: FieldSet, rev: Rev, input: &mut Input<'_>) -> Result<Self, Unreadable>;
    /// Takes these members over, and `rev`.
    fn assign(&mut self, which: FieldSet, from: &Self);

    /// How many members there are.
    fn members(&self) -> usize {
        Self::COUNT
    }

    /// Every member.
    #[must_use]
    fn all() -> FieldSet {
        FieldSet::MAX >> (FieldSet::BITS as usize - Self::COUNT)
    }
}

/// Lists the members of a row in the order of their bits. `then` is done to a row after members were set.
macro_rules! fields {
    ($name:ident { $($bit:literal $member:ident),+ } $(derived { $($rest:ident),+ })? then $settle:path) => {
        impl Fields for $name {
            const COUNT: usize = [$($bit),+].len();

            fn differing(&self, other: &Self) -> FieldSet {
                let mut which = 0;
                $(if self.$member != other.$member { which |= 1 << $bit; })+
                which
            }

            fn put(&self, which: FieldSet, out: &mut Vec<u8>) {
                $(if which & (1 << $bit) != 0 { self.$member.put(out); })+
            }

            fn take(which: FieldSet, rev: Rev, input: &mut Input<'_>) -> Result<Self, Unreadable> {
                let mut row = Self { $($member: Compact::blank(),)+ $($($rest: Compact::blank(),)+)? rev };
                $(if which & (1 << $bit) != 0 { row.$member = Compact::take(input)?; })+
                $settle(&mut row);
                Ok(row)
            }

            fn assign(&mut self, which: FieldSet, from: &Self) {
                $(if which & (1 << $bit) != 0 { self.$member = from.$member.clone(); })+
                self.rev = from.rev;
                $settle(self);
            }
        }
    };
}

fields! {
    Batch {
        0 succeeded, 1 rate_per_s, 2 eta_ms, 3 running, 4 failed, 5 retrying,
        6 retry, 7 total, 8 state, 9 reason, 10 cancelled, 11 sealed, 12 started_at, 13 finished_at, 14 name,
        15 id, 16 number, 17 task, 18 params, 19 owner, 20 created_at, 21 parent, 22 schedule, 23 start_at,
        24 rested_ms, 25 expected
    }
    derived { pending }
    then settle_pending
}

/// What has neither ended nor is on its way is pending: the counts of a batch always make its total.
fn settle_pending(row: &mut Batch) {
    let others = [row.running, row.retrying, row.succeeded, row.failed, row.cancelled];
    row.pending = others.into_iter().fold(row.total, u64::saturating_sub);
}

/// Nothing follows from the members of this row.
fn settled<T>(_row: &mut T) {}

fields! {
    ItemRow {
        0 state, 1 progress, 2 attempts, 3 ms, 4 node, 5 result,
        6 error, 7 family, 8 files, 9 input, 10 seq
    }
    then settled
}

fields! {
    StripCell { 0 succeeded, 1 failed, 2 cancelled, 3 last, 4 first, 5 cell }
    then settled
}

fields! {
    PulseBucket { 0 succeeded, 1 failed, 2 starts_at, 3 ms, 4 bucket }
    then settled
}

fields! {
    Family { 0 count, 1 last_at, 2 samples, 3 message, 4 first_at, 5 id }
    then settled
}

fields! {
    Node {
        0 work, 1 busy, 2 rate_per_s, 3 heartbeat_age_ms, 4 state, 5 slots,
        6 name, 7 role, 8 version, 9 id
    }
    then settled
}

/// Bits before those of the item's row.
const LIVE_BITS: u32 = 3;

/// Log, attempts and start, then the members of the item's row.
impl Fields for ItemLive {
    const COUNT: usize = LIVE_BITS as usize + ItemRow::COUNT;

    fn differing(&self, other: &Self) -> FieldSet {
        let own = u32::from(self.log != other.log) | (u32::from(self.history != other.history) << 1);
        let own = own | (u32::from(self.started_at != other.started_at) << 2);
        own | (self.row.differing(&other.row) << LIVE_BITS)
    }

    fn put(&self, which: FieldSet, out: &mut Vec<u8>) {
        if which & 1 != 0 {
            self.log.from.put(out);
            self.log.text.put(out);
        }
        if which & 2 != 0 {
            self.history.put(out);
        }
        if which & 4 != 0 {
            self.started_at.put(out);
        }
        self.row.put(which >> LIVE_BITS, out);
    }

    fn take(which: FieldSet, rev: Rev, input: &mut Input<'_>) -> Result<Self, Unreadable> {
        let log = if which & 1 == 0 {
            LogPart { from: 0, text: String::new() }
        } else {
            LogPart { from: u64::take(input)?, text: String::take(input)? }
        };
        let history = if which & 2 == 0 { Vec::new() } else { Vec::take(input)? };
        let started_at = if which & 4 == 0 { None } else { Compact::take(input)? };
        Ok(Self { row: ItemRow::take(which >> LIVE_BITS, rev, input)?, history, started_at, log })
    }

    /// The log goes on: from where the other says, what it says.
    fn assign(&mut self, which: FieldSet, from: &Self) {
        if which & 1 != 0 {
            self.log.go_on(&from.log);
        }
        if which & 2 != 0 {
            self.history.clone_from(&from.history);
        }
        if which & 4 != 0 {
            self.started_at = from.started_at;
        }
        self.row.assign(which >> LIVE_BITS, &from.row);
    }
}
