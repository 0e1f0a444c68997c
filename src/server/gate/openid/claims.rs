//! What a provider says of a person: who they are there, their name, and their groups.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Bytes of a subject: OpenID Connect says 255.
const SUBJECT_BYTES_MAX: usize = 255;
/// Groups that are looked at.
const GROUPS_MAX: usize = 10_000;

/// Whatever else a provider says.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Claims(pub Map<String, Value>);

impl openidconnect::AdditionalClaims for Claims {}

impl Claims {
    /// The claims of a token whose signature was verified.
    #[must_use]
    pub fn of_token(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    /// Adds what `other` says and these do not.
    pub fn complete(&mut self, other: Self) {
        for (name, value) in other.0 {
            self.0.entry(name).or_insert(value);
        }
    }

    /// Who somebody is at the provider.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.get("sub")?.as_str().filter(|subject| (1..=SUBJECT_BYTES_MAX).contains(&subject.len()))
    }

    /// Their name, by the claim that has it. An address of e-mail that the provider has not verified is none.
    #[must_use]
    pub fn name(&self, claim: &str) -> Option<&str> {
        let unverified = claim == "email" && self.0.get("email_verified") == Some(&Value::Bool(false));
        let name = self.0.get(claim)?.as_str().map(str::trim)?;
        (!name.is_empty() && !unverified).then_some(name)
    }

    /// Their groups, by the claim that has them: a list of texts, or one text. A dot in `claim` leads into an object, unless
    /// there is a claim of the whole name.
    #[must_use]
    pub fn groups(&self, claim: &str) -> Vec<&str> {
        let found = self.0.get(claim).or_else(|| {
            let mut parts = claim.split('.');
            let first = self.0.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part))
        });
        match found {
            Some(Value::String(group)) => vec![group],
            Some(Value::Array(groups)) => groups.iter().take(GROUPS_MAX).filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// True where something is said of groups.
    #[must_use]
    pub fn has(&self, claim: &str) -> bool {
        let first = claim.split('.').next().unwrap_or_default();
        self.0.contains_key(claim) || self.0.contains_key(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> Claims {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn names_and_groups_are_found() {
        let said = claims(
            r#"{"sub":"1","preferred_username":" ada ","email":"ada@x","email_verified":false,
            "groups":["ops",1,"staff"],"role":"ops","realm_access":{"roles":["a"]},"https://x/groups":["b"]}"#,
        );
        assert_eq!((said.subject(), said.name("preferred_username")), (Some("1"), Some("ada")));
        assert_eq!((said.name("email"), said.name("sub"), said.name("groups")), (None, Some("1"), None));
        assert_eq!(said.groups("groups"), ["ops", "staff"]);
        assert_eq!((said.groups("role"), said.groups("realm_access.roles")), (vec!["ops"], vec!["a"]));
        assert_eq!((said.groups("https://x/groups"), said.groups("none")), (vec!["b"], vec![]));
        assert!(said.has("realm_access.roles") && !said.has("roles"));
    }

    #[test]
    fn tokens_are_read_and_completed() {
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"sub":"1"}"#));
        let mut said = Claims::of_token(&token).unwrap();
        said.complete(claims(r#"{"sub":"2","groups":"x"}"#));
        assert_eq!((said.subject(), said.groups("groups")), (Some("1"), vec!["x"]));
        for none in ["", "a.b", "e30.bm8.x"] {
            assert!(Claims::of_token(none).is_none(), "{none}");
        }
        assert_eq!(claims(r#"{"sub":""}"#).subject(), None);
    }
}
