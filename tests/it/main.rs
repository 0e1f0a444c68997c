//! Tests of Milepost from outside, in one binary.

mod tidy;
