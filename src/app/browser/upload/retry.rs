//! Waiting between two tries, which the page counts down.

use std::time::Duration;

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;

use crate::app::upload::{Upload, UploadPhase};

/// Wait before another try after the first failure, and the longest.
pub const WAIT_FIRST: Duration = Duration::from_secs(1);
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Waits for `delay`, a number of whole seconds; the page counts down.
pub async fn pause(upload: Upload, delay: Duration) {
    let seconds = u32::try_from(delay.as_secs()).unwrap_or(u32::MAX);
    for left in (1..=seconds).rev() {
        upload.phase.set(UploadPhase::Waiting { seconds: left });
        TimeoutFuture::new(1_000).await;
    }
    upload.phase.set(UploadPhase::Sending);
}
