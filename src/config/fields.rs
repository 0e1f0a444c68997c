//! The settings by name: table, key, what is expected, how it is taken.
//!
//! `expected` is what `take` accepts.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::files::{AddressStyle, FilesUrl};
use super::raw::{Field, Raw, addresses, list, text, whole};
use super::sign_in::SIGN_IN_FIELDS;
use crate::protocol::Role;

/// True for an address, a network or the name of a host.
fn is_place(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let name = !text.is_empty() && text.len() <= 253 && text.bytes().all(plain);
    // Digits and dots alone are meant as an address.
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok() || (name && !numeric)
}

/// An origin: scheme and authority, nothing after.
fn origin(text: &str) -> Option<String> {
    let plain = text.trim_end_matches('/');
    let uri: http::Uri = plain.parse().ok()?;
    let scheme = uri.scheme_str()?;
    let whole = matches!(scheme, "http" | "https") && format!("{scheme}://{}", uri.authority()?) == plain;
    whole.then(|| plain.to_owned())
}

fn role(text: &str) -> Option<Role> {
    match text {
        "all" => Some(Role::All),
        "web" => Some(Role::Web),
        "worker" => Some(Role::Worker),
        _ => None,
    }
}

fn addressing(text: &str) -> Option<AddressStyle> {
    match text {
        "path" => Some(AddressStyle::Path),
        "host" => Some(AddressStyle::Host),
        _ => None,
    }
}

/// Makes one [`Field`]: table, key, what is expected, the place, and the value made of the raw one.
macro_rules! field {
    ($table:ident . $key:ident, $expected:literal, $take:expr) => {
        Field {
            table: stringify!($table),
            key: stringify!($key),
            expected: $expected,
            take: |config, raw| {
                let take: fn(&Raw) -> Option<_> = $take;
                config.$table.$key = take(raw)?;
                Some(())
            },
        }
    };
}

/// Every setting.
pub(super) const FIELDS: &[Field] = &[
    field!(server.listen, "an address and port, like \"127.0.0.1:3000\"", |raw| text(raw)?.parse().ok()),
    field!(server.base_url, "a URL without a path, like \"https://milepost.example\"", |raw| {
        origin(text(raw)?).map(Some)
    }),
    field!(server.role, "\"all\", \"web\" or \"worker\"", |raw| role(text(raw)?)),
    field!(server.slots, "a whole number from 1 to 1024", |raw| whole(raw, 1..=1_024)),
    field!(server.name, "a name of 1 to 64 characters", |raw| {
        text(raw).filter(|name| name.chars().count() <= 64).map(|name| Some(name.to_owned()))
    }),
    field!(server.data, "the path of a folder", |raw| text(raw).map(PathBuf::from)),
    field!(server.trusted_proxies, "a list of IP addresses, like [\"10.0.0.1\"]", addresses),
    field!(server.connections_max, "a whole number from 16 to 1000000", |raw| whole(raw, 16..=1_000_000)),
    field!(server.connections_per_address_max, "a whole number from 1 to 1000000", |raw| {
        whole(raw, 1..=1_000_000).map(Some)
    }),
    field!(database.url, "a URL, like \"sqlite://data/milepost.db\"", |raw| {
        text(raw).filter(|url| url.contains("://")).map(|url| Some(url.to_owned()))
    }),
    field!(database.readers, "a whole number from 1 to 64", |raw| whole(raw, 1..=64)),
    field!(database.writers, "a whole number from 1 to 64", |raw| whole(raw, 1..=64)),
    field!(files.url, "a URL, like \"s3://bucket/prefix\" or \"file:///var/milepost/files\"", |raw| {
        FilesUrl::parse(text(raw)?).map(Some)
    }),
    field!(files.endpoint, "the address of a server, like \"https://s3.example\"", |raw| {
        origin(text(raw)?).map(Some)
    }),
    field!(files.region, "the name of a region, like \"eu-central-1\"", |raw| {
        text(raw).map(|region| Some(region.to_owned()))
    }),
    field!(files.addressing, "\"path\" or \"host\"", |raw| addressing(text(raw)?).map(Some)),
    field!(files.copies_bytes_max, "a whole number of bytes from 1048576 to 9007199254740992", |raw| {
        whole(raw, 1_048_576..=1 << 53)
    }),
    field!(engine.lease_seconds, "a whole number of seconds from 1 to 3600", |raw| whole(raw, 1..=3_600)),
    field!(engine.reclaim_seconds, "a whole number of seconds from 1 to 600", |raw| whole(raw, 1..=600)),
    field!(engine.drain_seconds, "a whole number of seconds from 0 to 3600", |raw| whole(raw, 0..=3_600)),
    field!(engine.attempts_max, "a whole number from 1 to 100", |raw| whole(raw, 1..=100)),
    field!(engine.retention_days, "a whole number of days from 1 to 36500", |raw| whole(raw, 1..=36_500)),
    field!(live.ping_seconds, "a whole number of seconds from 1 to 300", |raw| whole(raw, 1..=300)),
    field!(live.tick_ms, "a whole number of milliseconds from 10 to 10000", |raw| whole(raw, 10..=10_000)),
    field!(live.connections_max, "a whole number from 1 to 1000000", |raw| whole(raw, 1..=1_000_000)),
    field!(live.connections_per_user_max, "a whole number from 1 to 1000000", |raw| whole(
        raw,
        1..=1_000_000
    )),
    field!(live.connections_per_address_max, "a whole number from 1 to 1000000", |raw| {
        whole(raw, 1..=1_000_000).map(Some)
    }),
    field!(live.message_bytes_max, "a whole number of bytes from 256 to 1048576", |raw| {
        whole(raw, 256..=1_048_576)
    }),
    field!(limits.upload_bytes_max, "a whole number of bytes from 1024 to 9007199254740992", |raw| {
        whole(raw, 1_024..=1 << 53)
    }),
    field!(limits.items_per_batch_max, "a whole number from 1 to 1000000000", |raw| {
        whole(raw, 1..=1_000_000_000)
    }),
    field!(limits.json_body_bytes_max, "a whole number of bytes from 1024 to 1073741824", |raw| {
        whole(raw, 1_024..=1 << 30)
    }),
    field!(limits.files_bytes_per_item_max, "a whole number of bytes from 0 to 1125899906842624", |raw| {
        whole(raw, 0..=1 << 50)
    }),
    field!(limits.files_bytes_per_batch_max, "a whole number of bytes from 0 to 9007199254740992", |raw| {
        whole(raw, 0..=1 << 53)
    }),
    field!(limits.upload_idle_seconds, "a whole number of seconds from 0 to 604800", |raw| {
        whole(raw, 0..=604_800)
    }),
    field!(
        webhooks.allow,
        "a list of addresses, networks and names of hosts, like [\"10.0.0.0/8\", \"hooks.internal\"]",
        |raw| list(raw).filter(|entries| entries.iter().all(|entry| is_place(entry)))
    ),
];

/// The setting `table.key`, if there is one.
pub(super) fn find(table: &str, key: &str) -> Option<&'static Field> {
    of(table).find(|field| field.key == key)
}

/// The settings of `table`, in order.
fn of(table: &str) -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().chain(SIGN_IN_FIELDS).filter(move |field| field.table == table)
}

/// The keys of `table`, for a message.
pub(super) fn keys(table: &str) -> String {
    let keys: Vec<_> = of(table).map(|field| field.key).collect();
    keys.join(", ")
}

/// The tables, in order.
pub(super) const TABLES: [&str; 9] = [
    "server",
    "database",
    "files",
    "engine",
    "live",
    "limits",
    "webhooks",
    "sign_in.header",
    "sign_in.openid",
];
