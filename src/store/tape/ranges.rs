//! Sets of positions as ranges: what is left of a lease, what is in its slots, which items are to be read.
//!
//! Their compact text is `1-40,52`. Ranges are in order, disjoint and never touch.

use crate::protocol::Seq;
use crate::store::backend::int;
use crate::store::error::StoreError;
use crate::store::records::SeqRange;

/// A set of positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<SeqRange>);

impl Ranges {
    pub fn one(range: SeqRange) -> Self {
        Self(vec![range])
    }

    /// A set from ranges in any order.
    pub fn collect(ranges: impl IntoIterator<Item = SeqRange>) -> Self {
        let mut all: Vec<SeqRange> = ranges.into_iter().collect();
        all.sort_unstable();
        let mut merged: Vec<SeqRange> = Vec::with_capacity(all.len());
        for range in all {
            match merged.last_mut() {
                Some(before) if range.first <= before.last.saturating_add(1) => {
                    before.last = before.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let refused = || StoreError::Invariant(format!("stored ranges are {text:?}"));
        let mut ranges: Vec<SeqRange> = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: Seq = first.parse().map_err(|_number| refused())?;
            let last: Seq = last.parse().map_err(|_number| refused())?;
            let follows = ranges.last().is_none_or(|before| before.last + 1 < first);
            if first < 1 || last < first || !follows {
                return Err(refused());
            }
            ranges.push(SeqRange::new(first, last));
        }
        Ok(Self(ranges))
    }

    pub fn print(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for range in &self.0 {
            let comma = if text.is_empty() { "" } else { "," };
            if range.first == range.last {
                write!(text, "{comma}{}", range.first).expect("writing to a text never fails");
            } else {
                write!(text, "{comma}{}-{}", range.first, range.last).expect("writing to a text never fails");
            }
        }
        text
    }

    pub fn iter(&self) -> impl Iterator<Item = SeqRange> + '_ {
        self.0.iter().copied()
    }

    /// Each position of the set, in order.
    pub fn seqs(&self) -> impl Iterator<Item = Seq> + '_ {
        self.0.iter().flat_map(|range| range.first..=range.last)
    }

    /// The set as the value of a list of ranges: pairs of first and last.
    pub fn pairs(&self) -> Vec<(i64, i64)> {
        self.0.iter().map(|range| (int(range.first), int(range.last))).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn count(&self) -> u64 {
        self.0.iter().map(|range| range.count()).sum()
    }

    /// Index of the range that contains `seq`.
    fn find(&self, seq: Seq) -> Option<usize> {
        let at = self.0.partition_point(|range| range.last < seq);
        (at < self.0.len() && self.0[at].first <= seq).then_some(at)
    }

    pub fn contains(&self, range: SeqRange) -> bool {
        self.find(range.first).is_some_and(|at| range.last <= self.0[at].last)
    }

    /// True where some position of `range` is in the set.
    pub fn meets(&self, range: SeqRange) -> bool {
        let at = self.0.partition_point(|held| held.last < range.first);
        self.0.get(at).is_some_and(|held| held.first <= range.last)
    }

    /// What of the set lies within `range`.
    pub fn within(&self, range: SeqRange) -> Self {
        let from = self.0.partition_point(|held| held.last < range.first);
        let meets = self.0[from..].iter().take_while(|held| held.first <= range.last);
        Self(
            meets.map(|held| SeqRange::new(held.first.max(range.first), held.last.min(range.last))).collect(),
        )
    }

    /// Takes `range` out; false (and nothing done) where it is not wholly in.
    #[must_use]
    pub fn take(&mut self, range: SeqRange) -> bool {
        let Some(at) = self.find(range.first) else { return false };
        let whole = self.0[at];
        if range.last > whole.last {
            return false;
        }
        let before = (whole.first < range.first).then(|| SeqRange::new(whole.first, range.first - 1));
        let after = (range.last < whole.last).then(|| SeqRange::new(range.last + 1, whole.last));
        self.0.splice(at..=at, before.into_iter().chain(after));
        true
    }

    /// What of `self` is not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = Vec::new();
        let mut cuts = other.0.iter().peekable();
        for range in &self.0 {
            let mut first = range.first;
            while let Some(cut) = cuts.peek() {
                if cut.last < first {
                    cuts.next();
                    continue;
                }
                if cut.first > range.last {
                    break;
                }
                if cut.first > first {
                    rest.push(SeqRange::new(first, cut.first - 1));
                }
                first = cut.last + 1;
                if first > range.last {
                    break;
                }
            }
            if first <= range.last {
                rest.push(SeqRange::new(first, range.last));
            }
        }
        Self(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_print_what_they_parse_and_lose_what_is_taken() {
        let mut ranges = Ranges::parse("1-40,52").unwrap();
        assert_eq!(ranges.print(), "1-40,52");
        assert!(!ranges.take(SeqRange::new(40, 41)));
        assert!(ranges.take(SeqRange::new(5, 6)));
        assert!(ranges.take(SeqRange::one(52)));
        assert_eq!(ranges.print(), "1-4,7-40");
        assert_eq!(ranges.count(), 38);
        assert!(ranges.contains(SeqRange::new(7, 40)) && !ranges.contains(SeqRange::new(4, 7)));
        for bad in ["2-1", "x", "1-2,3", "5,4", "0"] {
            assert!(Ranges::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn difference_and_collection() {
        let all = Ranges::collect([SeqRange::new(11, 20), SeqRange::new(1, 10), SeqRange::new(30, 40)]);
        assert_eq!(all.print(), "1-20,30-40");
        let cut = Ranges::parse("1-2,5,19-31,40").unwrap();
        assert_eq!(all.without(&cut).print(), "3-4,6-18,32-39");
        assert_eq!(all.without(&all).print(), "");
        assert_eq!(cut.within(SeqRange::new(2, 20)).print(), "2,5,19-20");
        assert!(cut.meets(SeqRange::new(3, 5)) && !cut.meets(SeqRange::new(6, 18)));
        assert!(cut.meets(SeqRange::one(40)) && !cut.meets(SeqRange::new(41, 50)));
    }
}
