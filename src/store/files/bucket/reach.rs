//! Whether a bucket can be reached, and what is wrong where it cannot, in words for whoever set it up.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::error::StoreError;

/// For so long an answer shows that the bucket is there.
const THERE_FOR: Duration = Duration::from_secs(5);

/// What the last requests have shown.
#[derive(Debug)]
pub struct BucketReach {
    /// The bucket, for people.
    shown: String,
    last: Mutex<Last>,
}

/// The last answer.
#[derive(Clone, Copy, Debug)]
enum Last {
    /// None yet.
    Unknown,
    /// The bucket answered.
    There(Instant),
    /// It did not.
    Away,
}

impl BucketReach {
    pub fn new(shown: &str) -> Self {
        Self { shown: shown.to_owned(), last: Mutex::new(Last::Unknown) }
    }

    pub fn shown(&self) -> &str {
        &self.shown
    }

    fn set(&self, last: Last) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    fn last(&self) -> Last {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has answered.
    pub fn set_there(&self) {
        self.set(Last::There(Instant::now()));
    }

    /// True where it has answered some seconds ago at most.
    pub fn was_there_lately(&self) -> bool {
        matches!(self.last(), Last::There(at) if at.elapsed() < THERE_FOR)
    }

    /// True where the last request did not reach it.
    pub fn is_away(&self) -> bool {
        matches!(self.last(), Last::Away)
    }

    /// What came of a request that was to do `what` the bucket ("write to").
    pub fn reported<T>(&self, what: &str, answer: object_store::Result<T>) -> Result<T, StoreError> {
        match answer {
            Ok(answer) => {
                self.set_there();
                Ok(answer)
            }
            // The bucket may be missing, not the object: S3 tells them apart by the code alone.
            Err(error @ object_store::Error::NotFound { .. }) if !is_no_bucket(&error) => {
                self.set_there();
                Err(StoreError::Io(io::Error::new(io::ErrorKind::NotFound, error)))
            }
            Err(error) => {
                self.set(Last::Away);
                Err(StoreError::FilesAway(explain(&self.shown, what, &error)))
            }
        }
    }

    /// It did not answer in time.
    pub fn late(&self) -> StoreError {
        self.set(Last::Away);
        StoreError::FilesAway(format!("{} does not answer in time", self.shown))
    }

    /// A content that was being read came to no end.
    pub fn broken_off(&self, fault: &io::Error) -> StoreError {
        StoreError::FilesAway(format!("{}: reading broke off: {fault}", self.shown))
    }
}

fn is_no_bucket(error: &object_store::Error) -> bool {
    error.to_string().contains("NoSuchBucket")
}

/// What a server says, by the code in its answer, and what it means.
const MEANINGS: &[(&str, &str)] = &[
    ("NoSuchBucket", "there is no such bucket"),
    ("InvalidBucketName", "that is no name of a bucket"),
    (
        "169.254.169.254",
        "there are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where the machine is given a role",
    ),
    ("InvalidAccessKeyId", "the server does not know AWS_ACCESS_KEY_ID"),
    ("NotSignedUp", "the server does not know AWS_ACCESS_KEY_ID"),
    ("SignatureDoesNotMatch", "the server does not take the signature: look at AWS_SECRET_ACCESS_KEY"),
    ("RequestTimeTooSkewed", "the clocks of this machine and of the server differ too much: set them"),
    ("ExpiredToken", "the token in AWS_SESSION_TOKEN has expired"),
    ("AuthorizationHeaderMalformed", "the bucket is in another region: set files.region"),
    ("PermanentRedirect", "the bucket is in another region: set files.region"),
    ("without LOCATION", "the bucket is in another region: set files.region"),
    ("AccessDenied", "the key may not do that"),
    ("Forbidden", "the key may not do that"),
    ("Connection refused", "nothing listens at the address of the server"),
    ("dns error", "the name of the server is not known"),
];

/// Why nothing came of it: what it means where that is known, and what the server or the system said.
pub fn explain(shown: &str, what: &str, error: &object_store::Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let text = next.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        cause = next.source();
    }
    let meaning = MEANINGS.iter().find(|(code, _)| said.contains(code));
    let meaning = meaning.map_or("", |(_code, meaning)| meaning);
    let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let said: String = said.chars().take(SAID_CHARS_MAX).collect();
    if meaning.is_empty() {
        return format!("cannot {what} {shown}: {said}");
    }
    format!("cannot {what} {shown}: {meaning} ({said})")
}

/// Characters of what a server said that are told.
const SAID_CHARS_MAX: usize = 500;
