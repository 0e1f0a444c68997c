//! Who may come in, as people and programs see it: people, sessions, tokens, shares, and the log of what was done.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::BatchId;
use super::task::PersonRole;
use super::time::Timestamp;

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct Person {
    /// Name to sign in with.
    pub name: String,
    /// What they may do.
    pub role: PersonRole,
    /// May not come in.
    pub disabled: bool,
    /// When they were added.
    pub created_at: Timestamp,
    /// How they come in.
    pub sign_in: SignInBy,
}

/// How a person comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SignInBy {
    /// With a password that is kept here.
    #[default]
    Password,
    /// By the header of a proxy in front.
    Header,
    /// By a provider that speaks OpenID Connect.
    OpenId,
}

impl SignInBy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Password, Self::Header, Self::OpenId];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Header => "header",
            Self::OpenId => "openid",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == text)
    }
}

/// Everybody, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct PersonPage {
    /// At most 10,000.
    pub people: Vec<Person>,
}

/// A person to add.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// 1 to 64 letters (a-z), digits and `. _ @ -`, beginning with a letter or digit.
    pub name: String,
    /// What they may do.
    pub role: PersonRole,
    /// 8 to 256 characters; without one the answer has a link by which they set it.
    #[serde(default)]
    pub password: Option<String>,
}

/// Says nothing of the password.
impl fmt::Debug for NewPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPerson")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Changes to a person. A missing member changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PersonPatch {
    /// What they may do from now on.
    pub role: Option<PersonRole>,
    /// Whether they may come in: where not, their sessions and tokens end.
    pub disabled: Option<bool>,
    /// How they come in from now on: their sessions end, and a provider's next sign-in by their name is theirs.
    pub sign_in: Option<SignInBy>,
}

/// A person, and the link by which they set their password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct PersonLink {
    /// The person.
    pub person: Person,
    /// A path of this installation that works once, for a day; none where they have a password. Shown once.
    pub link: Option<String>,
}

/// Says nothing of the link.
impl fmt::Debug for PersonLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonLink").field("person", &self.person).finish_non_exhaustive()
    }
}

/// A new password of one's own.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one until now.
    pub current: String,
    /// 8 to 256 characters, none of the commonest, and not like the name.
    pub new: String,
}

/// Says nothing of the passwords.
impl fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordChange").finish_non_exhaustive()
    }
}

/// A browser that somebody is signed in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct LoginSession {
    /// Its name.
    pub id: String,
    /// Who.
    pub person: String,
    /// What the browser says it is.
    pub device: String,
    /// Where it was made from.
    pub address: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to about a minute.
    pub seen_at: Timestamp,
    /// True for the one that asks.
    pub current: bool,
}

/// Sessions, the last used first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct SessionPage {
    /// At most 1,000.
    pub sessions: Vec<LoginSession>,
}

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look.
    Read,
    /// Make batches, and add to them.
    Submit,
    /// Pause, resume, cancel, retry, change, delete batches.
    Act,
    /// Nodes, people, tokens, the log.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Submit, Self::Act, Self::Admin];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Act => "act",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A bearer token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct AccessToken {
    /// Name, unique.
    pub name: String,
    /// Who made it; none = the command line.
    pub person: Option<String>,
    /// What it may do at most; of a person's token never more than they may.
    pub role: PersonRole,
    /// What it may be used for; empty = all that the role may.
    pub scopes: Vec<Scope>,
    /// Reaches batches of this task only.
    pub task: Option<String>,
    /// Reaches this batch only.
    pub batch: Option<BatchId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to about a minute.
    pub used_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Tokens, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct TokenPage {
    /// At most 10,000.
    pub tokens: Vec<AccessToken>,
}

/// A token to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// As the name of a person.
    pub name: String,
    /// What it may do at most; by default as its maker, and never more.
    #[serde(default)]
    pub role: Option<PersonRole>,
    /// What it may be used for; by default all that the role may.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// Reaches batches of this task only.
    #[serde(default)]
    pub task: Option<String>,
    /// Reaches this batch only.
    #[serde(default)]
    pub batch: Option<BatchId>,
    /// Ends after so many seconds, 60 to 315,360,000 (ten years); by default never.
    #[serde(default)]
    #[cfg_attr(feature = "ssr", schemars(range(min = 60, max = 315_360_000)))]
    pub expires_in_seconds: Option<u64>,
}

/// A token that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct IssuedToken {
    /// What it is.
    pub token: AccessToken,
    /// `mp_…`: shown this once.
    pub secret: String,
}

/// Says nothing of the secret.
impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("token", &self.token).finish_non_exhaustive()
    }
}

/// One act, as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Name of the caller; of a refused sign-in the name that was given.
    pub who: String,
    /// By what they came in: `session`, `token`, `share`, `header`, `openid`, `schedule`, `command`, or `nobody`.
    pub via: String,
    /// From where; empty where that has no meaning.
    pub address: String,
    /// What they did: a stable word.
    pub act: String,
    /// To what: a batch, the name of a person or token.
    pub object: String,
    /// What else there is to say.
    pub detail: String,
}

/// One page of the log, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Cursor of the next page, none at the end.
    pub next: Option<String>,
}

/// Which entries of the log to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditQuery {
    /// Of this caller only.
    pub who: Option<String>,
    /// To this only.
    pub object: Option<String>,
    /// Of this kind only.
    pub act: Option<String>,
    /// From the page before.
    pub cursor: Option<String>,
    /// How many, 500; clamped to 500.
    pub limit: Option<u32>,
}
