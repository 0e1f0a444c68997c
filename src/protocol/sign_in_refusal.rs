//! Why somebody who comes from outside is not let in, in words that say nothing of what a provider or a proxy has sent.

/// Why somebody who comes from outside is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInRefusal {
    /// The provider cannot be reached, or does not answer as one.
    Away,
    /// The person, or the provider for them, has said no.
    Denied,
    /// They were disabled here.
    Disabled,
    /// It took too long.
    Expired,
    /// It was not begun in this browser.
    Foreign,
    /// What the provider says of them cannot be believed.
    Invalid,
    /// Somebody of their name comes in otherwise, or is somebody else there.
    NameTaken,
    /// The provider says no name, or none that somebody can have here.
    NoName,
    /// None of their groups has a role here.
    NoRole,
    /// It was used before.
    Used,
}

impl SignInRefusal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Away,
        Self::Denied,
        Self::Disabled,
        Self::Expired,
        Self::Foreign,
        Self::Invalid,
        Self::NameTaken,
        Self::NoName,
        Self::NoRole,
        Self::Used,
    ];

    /// Its name in an address.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Away => "provider_away",
            Self::Denied => "provider_denied",
            Self::Disabled => "disabled",
            Self::Expired => "provider_expired",
            Self::Foreign => "provider_foreign",
            Self::Invalid => "provider_invalid",
            Self::NameTaken => "name_taken",
            Self::NoName => "no_name",
            Self::NoRole => "no_role",
            Self::Used => "provider_used",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.as_str() == text)
    }

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Away => {
                "The provider that you sign in with cannot be reached just now. Try again in a moment."
            }
            Self::Denied => "The provider did not sign you in: it was cancelled or refused there.",
            Self::Disabled => "You were disabled here. Ask an admin.",
            Self::Expired => "That took too long. Begin the sign-in once more.",
            Self::Foreign => "This sign-in was not begun in this browser. Begin it here.",
            Self::Invalid => {
                "What the provider says of you cannot be believed. Begin once more, or ask an admin."
            }
            Self::NameTaken => {
                "Somebody of your name comes in here in another way. An admin can say that it is you."
            }
            Self::NoName => "The provider gives you no name that somebody can have here. Ask an admin.",
            Self::NoRole => "None of your groups may come in here. Ask an admin.",
            Self::Used => "This sign-in was used before. Begin once more.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for refusal in SignInRefusal::ALL {
            assert_eq!(SignInRefusal::parse(refusal.as_str()), Some(refusal));
            assert!(refusal.words().ends_with('.'));
        }
        assert_eq!(SignInRefusal::parse("not_signed_in"), None);
    }
}
