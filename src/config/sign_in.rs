//! `[sign_in]`: who else says who somebody is, beside the passwords that are kept here.
//!
//! As [`super`]. Groups of elsewhere become roles of here by a map; without one a default role is for whoever comes first.

use std::net::IpAddr;

use http::HeaderName;
use url::{Host, Url};

use super::error::{ConfigError, refused};
use super::raw::{Field, Raw, addresses, list, map, text, whole};
use super::restrictions::SecretConfig;
use super::table::is_variable;
use crate::protocol::PersonRole;

/// Characters of a short text.
const LINE_CHARS_MAX: usize = 256;

/// `[sign_in]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignInConfig {
    /// `[sign_in.header]`: a proxy in front names whoever asks.
    pub header: HeaderConfig,
    /// `[sign_in.openid]`: people sign in by a provider of identities.
    pub openid: OpenIdConfig,
}

/// `[sign_in.openid]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIdConfig {
    /// Address of the provider, as it writes it itself. By default none: nobody comes in so.
    pub issuer: Option<String>,
    /// Who this installation is there.
    pub client_id: Option<String>,
    /// Where its secret is read from. None.
    pub client_secret: Option<SecretConfig>,
    /// What is asked for, beside `openid`. `profile`.
    pub scopes: Vec<String>,
    /// The claim with the groups. `groups`.
    pub groups_claim: String,
    /// The claim with the name. `preferred_username`.
    pub name_claim: String,
    /// What groups become.
    pub roles: GroupRoles,
    /// What people call the provider. By default its host.
    pub title: Option<String>,
    /// How long a session lasts, in hours, 1 to 720: what the provider says of a person is asked anew then. 24.
    pub session_hours: u32,
}

impl Default for OpenIdConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: None,
            client_secret: None,
            scopes: vec!["profile".to_owned()],
            groups_claim: "groups".to_owned(),
            name_claim: "preferred_username".to_owned(),
            roles: GroupRoles::default(),
            title: None,
            session_hours: 24,
        }
    }
}

impl OpenIdConfig {
    /// Reads the secret, where one is named.
    ///
    /// # Errors
    /// In words, where it is not there.
    pub fn client_secret(&self) -> Result<Option<String>, String> {
        let (place, read) = match &self.client_secret {
            None => return Ok(None),
            Some(SecretConfig::Env(name)) => {
                (format!("client_secret_env: the variable {name}"), std::env::var(name).ok())
            }
            Some(SecretConfig::File(path)) => {
                let text = std::fs::read_to_string(path).ok();
                (format!("client_secret_file: {}", path.display()), text)
            }
        };
        let secret = read.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        let secret = secret.filter(|secret| !secret.is_empty());
        secret.map(Some).ok_or_else(|| format!("sign_in.openid.{place} has no secret that can be read"))
    }

    fn problem(&self) -> Option<&'static str> {
        if *self == Self::default() {
            None
        } else if self.issuer.is_none() {
            Some("expected issuer, the address of the provider")
        } else if self.client_id.is_none() {
            Some("expected client_id, who this installation is at the provider")
        } else if self.roles.is_empty() {
            Some("expected roles or default_role: else nobody could come in")
        } else {
            None
        }
    }
}

/// `[sign_in.header]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderConfig {
    /// Addresses of the proxies that are believed. None.
    pub proxies: Vec<IpAddr>,
    /// The header with the name. By default none: nobody comes in so.
    pub name: Option<HeaderName>,
    /// The header with the groups, commas between. None.
    pub groups: Option<HeaderName>,
    /// What groups become.
    pub roles: GroupRoles,
    /// Where signing out leads, since only the proxy can end what it says. By default to the first page.
    pub sign_out_url: Option<String>,
}

/// What the groups of a person become here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRoles {
    /// `roles`: the role of each group; of several the highest. None.
    pub roles: Vec<(String, PersonRole)>,
    /// `default_role`: that of whoever is in none of them. By default none: they do not come in.
    pub default_role: Option<PersonRole>,
}

impl GroupRoles {
    /// The role of whoever is in `groups`; none where they may not come in.
    #[must_use]
    pub fn role_of<'a>(&self, groups: impl IntoIterator<Item = &'a str>) -> Option<PersonRole> {
        let role = |group: &str| self.roles.iter().find(|(name, _)| name == group).map(|(_, role)| *role);
        groups.into_iter().filter_map(role).max().or(self.default_role)
    }

    /// True where nobody could come in.
    fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.default_role.is_none()
    }
}

impl SignInConfig {
    /// Looks whether what is set is enough.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match (self.header.problem(), self.openid.problem()) {
            (Some(problem), _) => Err(refused("[sign_in.header]", problem)),
            (None, Some(problem)) => Err(refused("[sign_in.openid]", problem)),
            (None, None) => Ok(()),
        }
    }

    /// True where somebody outside says who somebody is.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.header.name.is_some() || self.openid.issuer.is_some()
    }
}

impl HeaderConfig {
    fn problem(&self) -> Option<&'static str> {
        let Self { proxies, name, groups, roles, .. } = self;
        if *self == Self::default() {
            None
        } else if name.is_none() {
            Some("expected name, the header that has the name of whoever asks")
        } else if proxies.is_empty() {
            Some("expected proxies, the addresses of the proxies that are believed")
        } else if roles.is_empty() {
            Some("expected roles or default_role: else nobody could come in")
        } else if groups.is_none() && !roles.roles.is_empty() {
            Some("expected groups, the header that has the groups of roles")
        } else if groups == name {
            Some("expected another header in groups than in name")
        } else {
            None
        }
    }
}

/// A header that a proxy may set: none that means something else here.
fn header_name(raw: &Raw) -> Option<HeaderName> {
    let name: HeaderName = text(raw)?.parse().ok()?;
    let taken = [
        http::header::AUTHORIZATION,
        http::header::COOKIE,
        http::header::HOST,
        http::header::ORIGIN,
        HeaderName::from_static("x-forwarded-for"),
    ];
    (!taken.contains(&name)).then_some(name)
}

fn roles(raw: &Raw) -> Option<Vec<(String, PersonRole)>> {
    let role = |(group, role): (String, String)| {
        (!group.is_empty()).then_some(())?;
        Some((group, PersonRole::parse(&role)?))
    };
    map(raw)?.into_iter().map(role).collect()
}

/// A role, or `none`.
fn default_role(raw: &Raw) -> Option<Option<PersonRole>> {
    match text(raw)? {
        "none" => Some(None),
        role => PersonRole::parse(role).map(Some),
    }
}

/// A path of here, or an address elsewhere.
fn way_out(raw: &Raw) -> Option<String> {
    let text = text(raw)?;
    let begins_well = ["/", "https://", "http://"].iter().any(|start| text.starts_with(start));
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    (begins_well && plain && !text.starts_with("//")).then(|| text.to_owned())
}

/// The address of a provider: by https, or on this machine.
fn issuer(raw: &Raw) -> Option<String> {
    let text = text(raw)?;
    let url = Url::parse(text).ok()?;
    let here = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let safe = url.scheme() == "https" || (url.scheme() == "http" && here);
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (safe && plain && url.password().is_none()).then(|| text.to_owned())
}

/// A short text of one line.
fn line(raw: &Raw) -> Option<String> {
    let text = text(raw)?.trim();
    let fits = (1..=LINE_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// Scopes: words without blanks.
fn scopes(raw: &Raw) -> Option<Vec<String>> {
    let plain = |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic());
    list(raw).filter(|scopes| scopes.iter().all(plain))
}

const ROLES: &str =
    "a role (\"viewer\", \"operator\" or \"admin\") for each group, like { staff = \"operator\" }";
const DEFAULT_ROLE: &str = "\"viewer\", \"operator\", \"admin\" or \"none\"";

/// Makes one [`Field`] of a table within `[sign_in]`.
macro_rules! field {
    ($table:ident, $key:literal, $expected:expr, |$config:ident, $raw:ident| $taken:expr) => {
        Field {
            table: concat!("sign_in.", stringify!($table)),
            key: $key,
            expected: $expected,
            take: |config, $raw| {
                let $config = &mut config.sign_in.$table;
                $taken;
                Some(())
            },
        }
    };
}

/// The settings of `[sign_in]`.
pub(super) const SIGN_IN_FIELDS: &[Field] = &[
    field!(header, "proxies", "a list of IP addresses, like [\"10.0.0.1\"]", |header, raw| {
        header.proxies = addresses(raw)?.iter().map(IpAddr::to_canonical).collect();
    }),
    field!(header, "name", "the name of a header, like \"Remote-User\"", |header, raw| {
        header.name = Some(header_name(raw)?);
    }),
    field!(header, "groups", "the name of a header, like \"Remote-Groups\"", |header, raw| {
        header.groups = Some(header_name(raw)?);
    }),
    field!(header, "roles", ROLES, |header, raw| header.roles.roles = roles(raw)?),
    field!(header, "default_role", DEFAULT_ROLE, |header, raw| {
        header.roles.default_role = default_role(raw)?;
    }),
    field!(header, "sign_out_url", "a path or an address, like \"/oauth2/sign_out\"", |header, raw| {
        header.sign_out_url = Some(way_out(raw)?);
    }),
    field!(openid, "issuer", "an https URL, like \"https://sso.example\"", |openid, raw| {
        openid.issuer = Some(issuer(raw)?);
    }),
    field!(openid, "client_id", "a text of 1 to 256 characters", |openid, raw| {
        openid.client_id = Some(line(raw)?);
    }),
    field!(
        openid,
        "client_secret_env",
        "the name of a variable that is none of Milepost's own",
        |openid, raw| {
            let name = text(raw).filter(|name| is_variable(name))?;
            openid.client_secret = Some(SecretConfig::Env(name.to_owned()));
        }
    ),
    field!(openid, "client_secret_file", "the path of a file", |openid, raw| {
        openid.client_secret = Some(SecretConfig::File(text(raw)?.into()));
    }),
    field!(openid, "scopes", "a list of scopes, like [\"profile\", \"groups\"]", |openid, raw| {
        openid.scopes = scopes(raw)?;
    }),
    field!(openid, "groups_claim", "the name of a claim, like \"groups\"", |openid, raw| {
        openid.groups_claim = line(raw)?;
    }),
    field!(openid, "name_claim", "the name of a claim, like \"preferred_username\"", |openid, raw| {
        openid.name_claim = line(raw)?;
    }),
    field!(openid, "roles", ROLES, |openid, raw| openid.roles.roles = roles(raw)?),
    field!(openid, "default_role", DEFAULT_ROLE, |openid, raw| {
        openid.roles.default_role = default_role(raw)?;
    }),
    field!(openid, "title", "a text of 1 to 256 characters", |openid, raw| openid.title = Some(line(raw)?)),
    field!(openid, "session_hours", "a whole number of hours from 1 to 720", |openid, raw| {
        openid.session_hours = whole(raw, 1..=720)?;
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<SignInConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("milepost.toml");
        std::fs::write(&file, text).unwrap();
        let variables = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources = Sources { file: Some(file), environment: variables.collect(), ..Sources::default() };
        let read = sources.read().map(|config| config.sign_in);
        read.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn headers_are_read_from_both_places() {
        let text = "[sign_in.header]\nproxies = [\"::ffff:10.0.0.1\"]\nname = \"Remote-User\"\n\
                    groups = \"Remote-Groups\"\nroles = { \"ops team\" = \"admin\", staff = \"operator\" }\n";
        let config = read(text, &[]).unwrap();
        assert_eq!(config.header.proxies, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(config.header.name.unwrap(), "remote-user");
        let roles = &config.header.roles;
        assert_eq!(roles.role_of(["staff", "ops team"]), Some(PersonRole::Admin));
        assert_eq!((roles.role_of(["Staff"]), roles.role_of([])), (None, None));
        let variables = [
            ("MILEPOST_SIGN_IN_HEADER_PROXIES", "10.0.0.1,::1"),
            ("MILEPOST_SIGN_IN_HEADER_NAME", "X-User"),
            ("MILEPOST_SIGN_IN_HEADER_DEFAULT_ROLE", "viewer"),
        ];
        assert_eq!(read("", &variables).unwrap().header.roles.role_of(["x"]), Some(PersonRole::Viewer));
        let variables =
            [variables[0], variables[1], ("MILEPOST_SIGN_IN_HEADER_ROLES", "a=admin, b = viewer")];
        let error = read("", &variables).unwrap_err();
        assert!(error.starts_with("[sign_in.header]: expected groups"), "{error}");
    }

    #[test]
    fn mistakes_name_what_is_expected() {
        for (text, begins) in [
            ("[sign_in]\nheader = 1", "milepost.toml:2: sign_in.header: expected a table"),
            ("sign_in = 1", "milepost.toml:1: sign_in: expected a table"),
            ("[sign_in.saml]\na = 1", "milepost.toml:1: unknown table [sign_in.saml]"),
            ("[sign_in.header]\nnam = \"x\"", "milepost.toml:2: unknown key \"nam\" in [sign_in.header]"),
            ("[sign_in.header]\nname = \"a b\"", "milepost.toml:2: sign_in.header.name: expected the name"),
            ("[sign_in.header]\nname = \"Cookie\"", "milepost.toml:2: sign_in.header.name: expected"),
            ("[sign_in.header]\nroles = { a = \"root\" }", "milepost.toml:2: sign_in.header.roles: expected"),
            ("[sign_in.header]\nroles = { a = 1 }", "milepost.toml:2: sign_in.header.roles: expected"),
            ("[sign_in.header]\ndefault_role = \"x\"", "milepost.toml:2: sign_in.header.default_role: exp"),
            ("[sign_in.header]\nsign_out_url = \"//x\"", "milepost.toml:2: sign_in.header.sign_out_url: exp"),
            ("[sign_in.header]\nproxies = [\"10.0.0.1\"]", "[sign_in.header]: expected name"),
            ("[sign_in.header]\nname = \"X-User\"", "[sign_in.header]: expected proxies"),
            (
                "[sign_in.openid]\nissuer = \"http://sso.example\"",
                "milepost.toml:2: sign_in.openid.issuer: exp",
            ),
            ("[sign_in.openid]\nissuer = \"https://sso.example\"", "[sign_in.openid]: expected client_id"),
            ("[sign_in.openid]\nclient_id = \"m\"", "[sign_in.openid]: expected issuer"),
            (
                "[sign_in.openid]\nclient_secret_env = \"MILEPOST_X\"",
                "milepost.toml:2: sign_in.openid.client_secret_env: expected",
            ),
            ("[sign_in.openid]\nclient_secret = \"x\"", "milepost.toml:2: unknown key \"client_secret\""),
            ("[sign_in.openid]\nsession_hours = 0", "milepost.toml:2: sign_in.openid.session_hours: exp"),
            (
                "[sign_in.header]\nname = \"X-User\"\nproxies = [\"10.0.0.1\"]",
                "[sign_in.header]: expected roles or default_role",
            ),
        ] {
            let error = read(text, &[]).unwrap_err();
            assert!(error.starts_with(begins), "{text:?} gave {error:?}");
        }
    }
}
