//! `[quotas]` and `[permissions.TASK]`: how much people may have, and who may run and see a task.
//!
//! As [`super`]. A table for one person stands in place of the one for everybody; what a permission leaves out is as roles say.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, refused};
use super::table::{Locate, Value, in_order};
use crate::protocol::PersonRole;

/// Largest number that can be said.
const NUMBER_MAX: u64 = 1 << 50;
/// Batches a minute that can be said.
const RATE_MAX: u64 = 10_000;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 80;
/// Names in one list.
const NAMES_MAX: usize = 1_000;

/// How much one person may have: none unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaConfig {
    /// Bytes of files, 0 to 2^50. None.
    pub stored_bytes_max: Option<u64>,
    /// Items that have not ended, 0 to 2^50. None.
    pub items_max: Option<u64>,
    /// Batches that have not finished, 0 to 2^50. None.
    pub batches_max: Option<u64>,
    /// Batches made within a minute, 1 to 10,000. None.
    pub batches_per_minute_max: Option<u64>,
}

/// `[quotas]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotasConfig {
    /// Of whoever has no table of their own.
    pub everyone: QuotaConfig,
    /// `[quotas.people.NAME]`, by the name of a person or `token:NAME`.
    pub people: BTreeMap<String, QuotaConfig>,
}

/// One name in a list of `[permissions.TASK]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PermittedConfig {
    /// `role:ROLE`: everybody with at least that role.
    Role(PersonRole),
    /// A person, or `token:NAME`.
    Name(String),
}

/// `[permissions.TASK]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionConfig {
    /// Who may run it. By default whoever may submit.
    pub run: Option<Vec<PermittedConfig>>,
    /// Who may see it and its batches. By default everybody.
    pub see: Option<Vec<PermittedConfig>>,
}

type Field = fn(&mut QuotaConfig) -> &mut Option<u64>;

/// Key, lowest and highest value.
const QUOTAS: [(&str, u64, u64, Field); 4] = [
    ("stored_bytes_max", 0, NUMBER_MAX, |quota| &mut quota.stored_bytes_max),
    ("items_max", 0, NUMBER_MAX, |quota| &mut quota.items_max),
    ("batches_max", 0, NUMBER_MAX, |quota| &mut quota.batches_max),
    ("batches_per_minute_max", 1, RATE_MAX, |quota| &mut quota.batches_per_minute_max),
];

/// Reads `[quotas]`.
pub(super) fn quotas(content: &Value<'_>, place: &Locate<'_>) -> Result<QuotasConfig, ConfigError> {
    let not_a_table = |at: usize| refused(place(at), "quotas: expected a table, like [quotas]");
    let table = content.get_ref().as_table().ok_or_else(|| not_a_table(content.span().start))?;
    let mut quotas = QuotasConfig::default();
    for (key, span, value) in in_order(table) {
        if key != "people" {
            take_quota(&mut quotas.everyone, "quotas", key, value, place(span.start), ", people")?;
            continue;
        }
        let people = value.get_ref().as_table().ok_or_else(|| not_a_table(value.span().start))?;
        for (name, span, own) in in_order(people) {
            let at = place(span.start);
            let table = own.get_ref().as_table().filter(|_| is_name(name));
            let expected = "quotas.people: expected a table for each name, like [quotas.people.ada]";
            let table = table.ok_or_else(|| refused(at, expected))?;
            let mut quota = QuotaConfig::default();
            for (key, span, value) in in_order(table) {
                take_quota(&mut quota, "quotas.people", key, value, place(span.start), "")?;
            }
            quotas.people.insert(name.to_owned(), quota);
        }
    }
    Ok(quotas)
}

fn take_quota(
    quota: &mut QuotaConfig,
    table: &str,
    key: &str,
    value: &Value<'_>,
    at: String,
    others: &str,
) -> Result<(), ConfigError> {
    let Some((_, least, most, field)) = QUOTAS.iter().find(|(known, ..)| *known == key) else {
        let known = QUOTAS.map(|(known, ..)| known).join(", ");
        let problem = format!("unknown key {key:?} in {table}: expected one of {known}{others}");
        return Err(refused(at, problem));
    };
    let number = whole(value.get_ref()).filter(|number| (*least..=*most).contains(number));
    let problem = || format!("{table}.{key}: expected a whole number from {least} to {most}");
    *field(quota) = Some(number.ok_or_else(|| refused(at, problem()))?);
    Ok(())
}

/// Reads `[permissions]`, a table for each task.
pub(super) fn permissions(
    content: &Value<'_>,
    place: &Locate<'_>,
) -> Result<BTreeMap<String, PermissionConfig>, ConfigError> {
    let expected = "permissions: expected a table for each task, like [permissions.image]";
    let table = content.get_ref().as_table();
    let table = table.ok_or_else(|| refused(place(content.span().start), expected))?;
    let mut permissions = BTreeMap::new();
    for (task, span, value) in in_order(table) {
        let table = value.get_ref().as_table().ok_or_else(|| refused(place(span.start), expected))?;
        permissions.insert(task.to_owned(), permission(task, table, place)?);
    }
    Ok(permissions)
}

fn permission(task: &str, table: &DeTable<'_>, place: &Locate<'_>) -> Result<PermissionConfig, ConfigError> {
    let mut permission = PermissionConfig::default();
    for (key, span, value) in in_order(table) {
        let at = place(span.start);
        let list = permitted(value.get_ref());
        let problem = || {
            format!(
                "permissions.{task}.{key}: expected a list of names, token:NAME or role:ROLE, like [\"ada\", \"role:admin\"]"
            )
        };
        match key {
            "run" => permission.run = Some(list.ok_or_else(|| refused(at, problem()))?),
            "see" => permission.see = Some(list.ok_or_else(|| refused(at, problem()))?),
            unknown => {
                let problem =
                    format!("unknown key {unknown:?} in permissions.{task}: expected one of run, see");
                return Err(refused(at, problem));
            }
        }
    }
    Ok(permission)
}

fn permitted(value: &DeValue<'_>) -> Option<Vec<PermittedConfig>> {
    let list = value.as_array().filter(|list| list.len() <= NAMES_MAX)?;
    let one = |text: &str| match text.strip_prefix("role:") {
        Some(role) => PersonRole::parse(role).map(PermittedConfig::Role),
        None => is_name(text).then(|| PermittedConfig::Name(text.to_owned())),
    };
    list.iter().map(|entry| one(entry.get_ref().as_str()?)).collect()
}

/// The name of a person, or `token:NAME`; of a token whose name was given anew also `token:NAME~2`.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-:~".contains(&byte);
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(plain)
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let DeValue::Integer(digits) = value else { return None };
    u64::from_str_radix(digits.as_str(), digits.radix()).ok()
}
