//! The name of whoever asks, as a named proxy says it by a header.
//!
//! From anybody else the header means nothing. What a proxy says is either one name or none: whatever else it may be is
//! refused, so that nobody comes in under another name.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, HeaderName};

use crate::config::{GroupRoles, HeaderConfig};
use crate::store::access::GivenRole;

/// Bytes of a list of groups that is read.
const GROUPS_BYTES_MAX: usize = 16 * 1024;

/// Which proxies name whoever asks, and how.
#[derive(Debug)]
pub struct HeaderSignIn {
    proxies: Vec<IpAddr>,
    name: HeaderName,
    groups: Option<HeaderName>,
    roles: GroupRoles,
    /// Where signing out leads.
    pub sign_out_url: String,
}

/// What a request says by its headers.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing, or it comes from nobody who is believed.
    Nothing,
    /// Something that names nobody, in words.
    Unclear(&'static str),
    /// Who it is, and what they may do.
    Name(String, GivenRole),
}

/// The role that `groups` have by `roles`; without such a map the default is for whoever comes first.
#[must_use]
pub fn given_role<'a>(roles: &GroupRoles, groups: impl IntoIterator<Item = &'a str>) -> GivenRole {
    match roles.role_of(groups) {
        None => GivenRole::None,
        Some(role) if roles.roles.is_empty() => GivenRole::AtFirst(role),
        Some(role) => GivenRole::Now(role),
    }
}

impl HeaderSignIn {
    /// None where the settings name no header.
    #[must_use]
    pub fn new(config: &HeaderConfig) -> Option<Self> {
        let HeaderConfig { proxies, name, groups, roles, sign_out_url } = config.clone();
        let sign_out_url = sign_out_url.unwrap_or_else(|| "/".to_owned());
        Some(Self { proxies, name: name?, groups, roles, sign_out_url })
    }

    /// What a request says. The address of its connection counts, whatever it says of others.
    #[must_use]
    pub fn read(&self, extensions: &Extensions, headers: &HeaderMap) -> Said {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        if !peer.is_some_and(|peer| self.proxies.contains(&peer)) {
            return Said::Nothing;
        }
        let name = match the_one(headers, &self.name) {
            Ok(None | Some("")) => return Said::Nothing,
            Ok(Some(name)) => name,
            Err(problem) => return Said::Unclear(problem),
        };
        let groups = match self.groups.as_ref().map_or(Ok(None), |groups| the_one(headers, groups)) {
            Ok(groups) => groups.unwrap_or_default(),
            Err(problem) => return Said::Unclear(problem),
        };
        if groups.len() > GROUPS_BYTES_MAX {
            return Said::Unclear("The proxy in front names too many groups.");
        }
        let role = given_role(&self.roles, groups.split(',').map(str::trim));
        Said::Name(name.to_owned(), role)
    }
}

/// The value of `name`, without blanks around it.
fn the_one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("The proxy in front says twice who you are.");
    }
    // Names of groups may have any letters.
    let text =
        std::str::from_utf8(value.as_bytes()).map_err(|_bytes| "What the proxy in front says is no text.")?;
    Ok(Some(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PersonRole;

    fn said(peer: &str, pairs: &[(&'static str, &[u8])]) -> Said {
        let config = HeaderConfig {
            proxies: vec!["10.0.0.1".parse().unwrap()],
            name: Some(HeaderName::from_static("remote-user")),
            groups: Some(HeaderName::from_static("remote-groups")),
            roles: GroupRoles {
                roles: vec![("ops".to_owned(), PersonRole::Admin), ("é".to_owned(), PersonRole::Viewer)],
                default_role: None,
            },
            sign_out_url: None,
        };
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "10.0.0.1".parse().unwrap());
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_bytes(value).unwrap());
        }
        HeaderSignIn::new(&config).unwrap().read(&extensions, &headers)
    }

    #[test]
    fn only_named_proxies_are_believed() {
        let ada: &[(&str, &[u8])] = &[("remote-user", b"ada"), ("remote-groups", b"staff, ops")];
        let expected = Said::Name("ada".to_owned(), GivenRole::Now(PersonRole::Admin));
        assert_eq!(said("10.0.0.1", ada), expected);
        assert_eq!(said("::ffff:10.0.0.1", ada), expected);
        for other in ["10.0.0.2", "127.0.0.1", "::1"] {
            assert_eq!(said(other, ada), Said::Nothing, "{other}");
        }
    }

    #[test]
    fn there_is_one_name_or_none() {
        assert_eq!(said("10.0.0.1", &[]), Said::Nothing);
        assert_eq!(said("10.0.0.1", &[("remote-user", b" ")]), Said::Nothing);
        for unclear in [
            &[("remote-user", &b"ada"[..]), ("remote-user", b"ada")][..],
            &[("remote-user", b"ada"), ("remote-groups", b"ops"), ("remote-groups", b"x")],
            &[("remote-user", b"\xff")],
        ] {
            assert!(matches!(said("10.0.0.1", unclear), Said::Unclear(_)), "{unclear:?}");
        }
        let role = |groups: &[u8]| said("10.0.0.1", &[("remote-user", b"ada"), ("remote-groups", groups)]);
        assert_eq!(role("é".as_bytes()), Said::Name("ada".to_owned(), GivenRole::Now(PersonRole::Viewer)));
        assert_eq!(role(b"OPS"), Said::Name("ada".to_owned(), GivenRole::None));
    }
}
