//! Addresses of webhooks in saved batches: they may be secrets, so only the owner of a batch and admins see them.

use crate::protocol::Json;

/// In place of an address.
pub const MASK: &str = "(shown to its owner)";

/// A body of a create, and all that is to follow it, with `mask` in place of each address, or without them.
pub fn without_addresses(body: &Json, mask: Option<&str>) -> Json {
    change(body, "options", |options| {
        let followed = change(options, "then", |then| Some(without_addresses(then, mask)));
        Some(change(&followed, "webhook", |address| match address.as_str() {
            "null" => Some(address.clone()),
            _ => mask.map(Json::string),
        }))
    })
}

/// An object with one of its members changed, or left out; anything else as it is.
fn change(json: &Json, name: &str, to: impl Fn(&Json) -> Option<Json>) -> Json {
    let Some(members) = json.members() else { return json.clone() };
    if !members.iter().any(|(member, _value)| member == name) {
        return json.clone();
    }
    Json::object(members.into_iter().filter_map(|(member, value)| {
        let value = if member == name { to(&value)? } else { value };
        Some((member, value))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_is_left_however_it_is_written() {
        let body = r#"{"task":"demo","params":{"webhook":1.10},"options":{"\u0077ebhook":"https://a/","then":
            {"task":"demo","options":{"webhook":"https://b/","then":{"options":{"webhook":"https://c/"}}}},"priority":1}}"#;
        let body = Json::parse(body).unwrap();
        let masked = without_addresses(&body, Some(MASK));
        assert!(!masked.as_str().contains("https://"), "{masked:?}");
        assert_eq!(masked.as_str().matches(MASK).count(), 3, "{masked:?}");
        let left = without_addresses(&body, None);
        let expected = r#"{"task":"demo","params":{"webhook":1.10},"options":{"then":{"task":"demo","options":{"then":{"options":{}}}},"priority":1}}"#;
        assert_eq!(left.as_str(), expected);
        let plain = Json::parse(r#"{"task":"demo","options":null}"#).unwrap();
        assert_eq!(without_addresses(&plain, None), plain);
    }
}
