//! What the items of a batch are looked for by: forms that ask for a page, and the way back to all.

use super::escape::put;
use crate::protocol::{ItemQuery, ItemSort, ItemState};

/// The forms of the batch at `here`, filled in by `query`; `asking` is the address that opens them without scripts.
#[must_use]
pub fn item_filters(here: &str, query: &ItemQuery, asking: &str) -> String {
    let state = query.state.map_or("", ItemState::as_str);
    let sort = query.sort.map_or("", ItemSort::as_str);
    let mut out = String::new();
    put(&mut out, &["<a class=\"button only-moving\" href=\"", asking, "\">Search</a>"]);
    out.push_str(
        "<button type=\"button\" class=\"button only-narrow\" popovertarget=\"search\">Search</button>\
         <form class=\"search fold\" id=\"search\" popover=\"auto\" method=\"get\" role=\"search\" action=\"",
    );
    put(&mut out, &["", here, "\"><select name=\"state\" aria-label=\"State\">"]);
    option(&mut out, "", "Any state", state);
    for one in ItemState::ALL {
        option(&mut out, one.as_str(), one.as_str(), state);
    }
    out.push_str(
        "</select><input type=\"search\" name=\"q\" aria-label=\"Search in inputs and errors\" placeholder=\"in input or error\" value=\"",
    );
    put(
        &mut out,
        &["", query.q.as_deref().unwrap_or_default(), "\"><select name=\"sort\" aria-label=\"Order\">"],
    );
    for (one, words) in [("", "By position"), ("took", "Longest first"), ("ended", "Last ended first")] {
        option(&mut out, one, words, sort);
    }
    out.push_str("</select>");
    if let Some(family) = &query.family {
        put(
            &mut out,
            &[
                "<input type=\"hidden\" name=\"family\" value=\"",
                &family.0,
                "\"><span class=\"hint\">of one family</span>",
            ],
        );
    }
    out.push_str("<button class=\"button\">Find</button></form>");
    if *query == ItemQuery::default() {
        put(&mut out, &["<form class=\"search\" method=\"get\" action=\"", here, "\">"]);
        out.push_str(
            "<input class=\"go\" type=\"number\" name=\"from\" min=\"1\" aria-label=\"Go to item number\" placeholder=\"# go to\">\
             <button class=\"button\">Go</button></form>",
        );
    } else {
        put(&mut out, &["<a class=\"button button-quiet\" href=\"", here, "\">Show all</a>"]);
    }
    out
}

fn option(out: &mut String, value: &str, words: &str, chosen: &str) {
    let end = if value == chosen { "\" selected>" } else { "\">" };
    put(out, &["<option value=\"", value, end, words, "</option>"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::FamilyId;

    #[test]
    fn forms_are_filled_in_with_what_is_asked_for() {
        let all = item_filters("/batches/1", &ItemQuery::default(), "?ask=search");
        assert!(all.contains("name=\"from\"") && !all.contains("Show all"), "{all}");
        assert!(all.contains("<option value=\"\" selected>Any state</option>"), "{all}");
        let query = ItemQuery {
            state: Some(ItemState::Failed),
            family: Some(FamilyId("a\"b".into())),
            q: Some("<x>".into()),
            sort: Some(ItemSort::Took),
            ..ItemQuery::default()
        };
        let told = item_filters("/batches/1", &query, "?ask=search");
        for part in [
            "<option value=\"failed\" selected>failed</option>",
            "<option value=\"took\" selected>Longest first</option>",
            "value=\"&lt;x&gt;\"",
            "name=\"family\" value=\"a&quot;b\"",
            "<a class=\"button button-quiet\" href=\"/batches/1\">Show all</a>",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
