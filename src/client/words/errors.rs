//! What people are told when something cannot be done: what happened, and then what is safe and what to do.
//!
//! One table for every page.

use crate::protocol::{ApiError, ErrorCode};

/// What was going on when it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undertaking {
    /// A part of a page was being loaded.
    Loading,
    /// Somebody asked for something to be done.
    Acting,
}

/// An error as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorWords {
    /// In two or three words.
    pub title: &'static str,
    /// What happened, as one or more sentences.
    pub happened: String,
    /// What is safe and what to do; empty where the sentence before says all of it.
    pub advice: &'static str,
}

/// The words for `error`.
#[must_use]
pub fn error_words(error: &ApiError, undertaking: Undertaking) -> ErrorWords {
    let happened = super::shown(&error.to_string());
    ErrorWords { title: error.code.title(), happened, advice: advice(error.code, undertaking) }
}

fn advice(code: ErrorCode, undertaking: Undertaking) -> &'static str {
    let (loading, acting) = match code {
        ErrorCode::NoAnswer => (
            "Work goes on; this part loads by itself once there is contact again.",
            "It is not known whether this was done: look at the page once there is contact again, then try again.",
        ),
        ErrorCode::NotSignedIn => ("Sign in to see it.", "Nothing was changed. Sign in, then try again."),
        ErrorCode::NotAllowed => (
            "Somebody with the role admin can allow it.",
            "Nothing was changed. Somebody with the role admin can allow it.",
        ),
        ErrorCode::Busy | ErrorCode::TooMany => {
            ("Work goes on; try again in a moment.", "Try again in a moment.")
        }
        ErrorCode::IdempotencyInFlight => ("", "Try again in a moment."),
        ErrorCode::DiskFull => {
            let room = "Make room on the server's disk or delete batches that have ended, then try again.";
            (room, room)
        }
        ErrorCode::Internal => {
            let again = "Try again; if it stays so, the server's log says why.";
            (again, again)
        }
        ErrorCode::Malformed
        | ErrorCode::NotFinished
        | ErrorCode::WrongState
        | ErrorCode::WrongFirstSeq
        | ErrorCode::WrongOffset
        | ErrorCode::TooLarge
        | ErrorCode::UnsupportedType
        | ErrorCode::RangeNotSatisfiable
        | ErrorCode::Invalid
        | ErrorCode::NoItems
        | ErrorCode::UnknownTask
        | ErrorCode::IdempotencyMismatch
        | ErrorCode::NotFound
        | ErrorCode::WrongMethod => ("", "Nothing was changed."),
    };
    match undertaking {
        Undertaking::Loading => loading,
        Undertaking::Acting => acting,
    }
}

/// Whether what was refused with `code` may be there at the next try, with nobody doing anything.
#[must_use]
pub fn may_pass(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NoAnswer | ErrorCode::Busy | ErrorCode::TooMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_an_act_says_what_is_safe_or_what_to_do() {
        for code in ErrorCode::ALL.into_iter().chain([ErrorCode::NoAnswer]) {
            let words = error_words(&ApiError::new(code, "It was refused."), Undertaking::Acting);
            assert!(words.advice.ends_with('.'), "{code:?}: {words:?}");
            assert_eq!(words.happened, "It was refused.");
        }
    }

    #[test]
    fn lost_contact_is_told_apart_by_what_was_going_on() {
        let error = ApiError::no_answer();
        assert_eq!(error_words(&error, Undertaking::Loading).title, "No contact");
        assert!(error_words(&error, Undertaking::Loading).advice.contains("loads by itself"));
        assert!(error_words(&error, Undertaking::Acting).advice.contains("not known whether"));
        assert!(may_pass(error.code) && !may_pass(ErrorCode::NotFound));
    }
}
