//! The heads of the item table: what stands in each column, and links that sort by it.

use super::escape::put;
use crate::protocol::ItemSort;

/// Heads that lead nowhere.
#[must_use]
pub fn item_heads() -> String {
    heads("", "#", "", "time")
}

/// Heads that sort: `sort` is what the list is sorted by, `address` where it is sorted by something else.
#[must_use]
pub fn sorting_heads(sort: Option<ItemSort>, address: &dyn Fn(Option<ItemSort>) -> String) -> String {
    let link = |out: &mut String, text: &str, by: Option<ItemSort>| {
        let current = if sort == by { "\" aria-current=\"true\">" } else { "\">" };
        put(out, &["<a href=\"", &address(by), current, text, "</a> "]);
    };
    let (mut position, mut time) = (String::new(), String::new());
    link(&mut position, "#", None);
    link(&mut time, "took", Some(ItemSort::Took));
    link(&mut time, "ended", Some(ItemSort::Ended));
    match sort {
        None => heads(" aria-sort=\"ascending\"", &position, "", &time),
        Some(ItemSort::Took | ItemSort::Ended) => heads("", &position, " aria-sort=\"descending\"", &time),
    }
}

fn heads(by_position: &str, position: &str, by_time: &str, time: &str) -> String {
    let head = "</span><span role=\"columnheader\"";
    format!(
        "<span role=\"columnheader\"{by_position}>{position}{head}>input{head}>state{head}>attempts{head}{by_time}>{time}{head}>result</span>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_lead_to_the_other_orders_and_say_which_this_is() {
        let address = |sort: Option<ItemSort>| match sort {
            Some(sort) => format!("/b?family=a&sort={}", sort.as_str()),
            None => "/b".to_owned(),
        };
        let heads = sorting_heads(Some(ItemSort::Took), &address);
        assert!(heads.starts_with("<span role=\"columnheader\"><a href=\"/b\">#</a>"), "{heads}");
        let time = "<span role=\"columnheader\" aria-sort=\"descending\">\
            <a href=\"/b?family=a&amp;sort=took\" aria-current=\"true\">took</a> \
            <a href=\"/b?family=a&amp;sort=ended\">ended</a> </span>";
        assert!(heads.contains(time), "{heads}");
        assert_eq!(sorting_heads(None, &address).matches("aria-sort=\"ascending\"").count(), 1);
        assert!(!item_heads().contains("<a "));
    }
}
