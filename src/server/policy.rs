//! Every door, and who may open it: routes, pages, the functions that pages call, live topics.
//!
//! The one table: the router gives each route the policy that stands here and refuses to be built with one that does not, a
//! function that is missing is no address, and the last part of docs/access.md is made of it. What an action takes is
//! [`Action::takes`]; that it is asked of the very object is the service's.

use crate::service::Action;

/// Who may open a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Everybody: nothing behind it is anybody's, or it is there to come in by.
    Everybody,
    /// Whoever is signed in; what is behind it asks for each thing.
    SignedIn,
    /// Whoever may do this.
    May(Action),
    /// Whoever has a share link, whose secret is in the address, where the link shows as much as this.
    ShareLink(Action),
}

use Policy::{Everybody, May, ShareLink, SignedIn};

/// Routes besides the API and the pages, by their path.
const ROUTES: &[(&str, Policy)] = &[
    ("/healthz", Everybody),
    ("/readyz", Everybody),
    ("/login", Everybody),
    ("/login/openid", Everybody),
    ("/login/openid/callback", Everybody),
    ("/logout", Everybody),
    ("/first/{code}", Everybody),
    ("/password/{code}", Everybody),
    (crate::app::pages::LOOK_PATH, May(Action::Submit)),
    (crate::app::shell::FAULTS_PATH, Everybody),
    ("/pkg/{*file}", Everybody),
    ("/api", Everybody),
    ("/api/openapi.json", Everybody),
    // Not signed in is told by the connection itself, which a page can read; each topic asks.
    ("/live", Everybody),
    ("/live/events", SignedIn),
    ("/live/frames", SignedIn),
    ("/s/{secret}/live", Everybody),
    ("/s/{secret}/live/events", ShareLink(Action::SeeProgress)),
    ("/s/{secret}/live/frames", ShareLink(Action::SeeProgress)),
    ("/s/{secret}/badge.svg", ShareLink(Action::SeeProgress)),
    ("/s/{secret}/status.txt", ShareLink(Action::SeeProgress)),
    ("/s/{secret}/results", ShareLink(Action::SeeBatch)),
    ("/s/{secret}/items/{seq}/files/{*name}", ShareLink(Action::SeeBatch)),
    ("/metrics", May(Action::SeeMetrics)),
];

/// Pages, by their path.
const PAGES: &[(&str, Policy)] = &[
    ("/", May(Action::SeeBatches)),
    ("/new", May(Action::SeeTasks)),
    ("/batches/:id", May(Action::SeeBatch)),
    ("/batches/:id/items/:seq", May(Action::SeeBatch)),
    ("/batches/:id/course", May(Action::SeeBatch)),
    ("/schedules", May(Action::SeeSchedules)),
    ("/nodes", May(Action::SeeNodes)),
    ("/webhooks", May(Action::UseWebhooks)),
    ("/webhooks/:id", May(Action::UseWebhooks)),
    ("/account", May(Action::ManageOwnAccess)),
    ("/people", May(Action::ManagePeople)),
    ("/audit", May(Action::SeeAuditLog)),
    ("/login", Everybody),
    ("/first/:code", Everybody),
    ("/password/:code", Everybody),
    ("/s/:secret", ShareLink(Action::SeeProgress)),
];

/// Functions that pages call, by their name. Those for everybody and for share links ask by a code that they are given.
const FUNCTIONS: &[(&str, Policy)] = &[
    ("load_me", SignedIn),
    ("set_theme", SignedIn),
    ("load_tasks", May(Action::SeeTasks)),
    ("load_folders", May(Action::Submit)),
    ("load_nodes", May(Action::SeeNodes)),
    ("load_batches", May(Action::SeeBatches)),
    ("load_counts", May(Action::SeeCounts)),
    ("load_batch", May(Action::SeeBatch)),
    ("load_related", May(Action::SeeBatch)),
    ("load_parent", May(Action::SeeBatch)),
    ("load_settings", May(Action::SeeBatch)),
    ("load_items", May(Action::SeeBatch)),
    ("load_window", May(Action::SeeBatch)),
    ("load_item", May(Action::SeeBatch)),
    ("load_families", May(Action::SeeBatch)),
    ("load_strip", May(Action::SeeProgress)),
    ("load_pulse", May(Action::SeeBatch)),
    ("load_acts", May(Action::SeeBatch)),
    ("load_schedules", May(Action::SeeSchedules)),
    ("load_deliveries", May(Action::UseWebhooks)),
    ("load_delivery", May(Action::UseWebhooks)),
    ("load_webhook_secret", May(Action::UseWebhooks)),
    ("load_share_links", May(Action::ShareBatch)),
    ("load_account", May(Action::ManageOwnAccess)),
    ("load_people", May(Action::ManagePeople)),
    ("load_audit", May(Action::SeeAuditLog)),
    ("submit_form", May(Action::Submit)),
    ("look_at_csv", May(Action::Submit)),
    ("run_demo", May(Action::Submit)),
    ("act_on", May(Action::ActOnBatch)),
    ("act_on_batches", May(Action::ActOnMany)),
    ("abort_act", May(Action::ActOnMany)),
    ("load_bulk_acts", May(Action::ActOnMany)),
    ("retry_items", May(Action::ActOnBatch)),
    ("patch_batch", May(Action::ActOnBatch)),
    ("seal_batch", May(Action::AddToBatch)),
    ("share_batch", May(Action::ShareBatch)),
    ("revoke_share", May(Action::ShareBatch)),
    ("save_schedule", May(Action::SaveSchedule)),
    ("act_on_schedule", May(Action::ActOnSchedule)),
    ("drain_node", May(Action::DrainNode)),
    ("redeliver", May(Action::UseWebhooks)),
    ("rotate_webhook_secret", May(Action::UseWebhooks)),
    ("change_password", May(Action::ManageOwnAccess)),
    ("end_session", May(Action::ManageOwnAccess)),
    ("create_token", May(Action::ManageOwnAccess)),
    ("revoke_token", May(Action::ManageOwnAccess)),
    ("add_person", May(Action::ManagePeople)),
    ("change_person", May(Action::ManagePeople)),
    ("reset_password", May(Action::ManagePeople)),
    ("load_sign_in_provider", Everybody),
    ("load_first_link", Everybody),
    ("load_password_link", Everybody),
    ("load_shared", ShareLink(Action::SeeProgress)),
    ("load_shared_strip", ShareLink(Action::SeeProgress)),
    ("load_shared_families", ShareLink(Action::SeeBatch)),
    ("load_shared_items", ShareLink(Action::SeeBatch)),
];

fn find(table: &[(&str, Policy)], wanted: &str) -> Option<Policy> {
    table.iter().find(|(name, _)| *name == wanted).map(|(_, policy)| *policy)
}

/// The policy of a route besides the API and the pages.
#[must_use]
pub fn of_route(path: &str) -> Option<Policy> {
    find(ROUTES, path)
}

/// The policy of a function that pages call, by the path of its address: its name and a number.
#[must_use]
pub fn of_function(path: &str) -> Option<Policy> {
    let name = path.strip_prefix("/api/")?.trim_end_matches(|c: char| c.is_ascii_digit());
    find(FUNCTIONS, name)
}

/// The addresses of all pages, in axum's words.
pub fn page_routes() -> impl Iterator<Item = String> {
    PAGES.iter().map(|(pattern, _)| {
        let parts = pattern.split('/').map(|part| match part.strip_prefix(':') {
            Some(name) => format!("{{{name}}}"),
            None => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("/")
    })
}

/// The policy of a page.
#[must_use]
pub fn of_page(path: &str) -> Option<Policy> {
    let matches = |pattern: &str| {
        let (mut wanted, mut parts) = (pattern.split('/'), path.split('/'));
        loop {
            match (wanted.next(), parts.next()) {
                (None, None) => return true,
                (Some(name), Some(part)) if name.starts_with(':') && !part.is_empty() || name == part => {}
                _ => return false,
            }
        }
    };
    PAGES.iter().find(|(pattern, _)| matches(pattern)).map(|(_, policy)| *policy)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::protocol::{BatchId, Topic};
    use crate::server::api;
    use crate::service::Narrow;
    use crate::service::live::topic_action;

    /// Topics, one of each kind.
    fn topics() -> [(&'static str, Topic); 9] {
        let batch = BatchId::from_u128(1);
        [
            ("batches", Topic::Batches),
            ("nodes", Topic::Nodes),
            ("batch/{id}", Topic::Batch(batch)),
            ("batch/{id}/progress", Topic::Progress(batch)),
            ("batch/{id}/strip", Topic::Strip(batch)),
            ("batch/{id}/families", Topic::Families(batch)),
            ("batch/{id}/pulse", Topic::Pulse(batch)),
            ("batch/{id}/items/{from}-{to}", Topic::Items { batch, from: 1, to: 1 }),
            ("item/{id}/{seq}", Topic::Item { batch, seq: 1 }),
        ]
    }

    /// What a policy takes: role, scope, and what else there is to say.
    fn cells(policy: Policy) -> String {
        let of_action = |action: Action| {
            let (role, scope, narrow) = action.takes();
            let whose = if action.is_for_owners() { "whoever it belongs to, and admins" } else { "" };
            let narrow = match narrow {
                Narrow::Asks => "within it",
                Narrow::Refused => "no",
            };
            format!("{} | {} | {whose} | {narrow}", role.as_str(), scope.as_str())
        };
        match policy {
            Everybody => "everybody | | |".to_owned(),
            SignedIn => "whoever is signed in | | | within it".to_owned(),
            May(action) => of_action(action),
            ShareLink(Action::SeeProgress) => "a share link | | |".to_owned(),
            ShareLink(_) => "a share link that shows what is in its batch | | |".to_owned(),
        }
    }

    /// The table as Markdown.
    fn as_markdown() -> String {
        let mut text = String::from(
            "| door | who | scope of a token | of others | a token for one task or batch |\n| --- | --- | --- | --- | --- |\n",
        );
        let mut add = |door: String, policy: Policy| {
            let row = format!("| `{door}` | {} |", cells(policy));
            text.push_str(row.replace("|  |", "| |").replace("|  |", "| |").trim_end());
            text.push('\n');
        };
        for (method, path, action, _) in api::ROUTES {
            add(format!("{method} /api/v1{path}"), May(*action));
        }
        ROUTES.iter().for_each(|(path, policy)| add((*path).to_owned(), *policy));
        PAGES.iter().for_each(|(path, policy)| add(format!("page {path}"), *policy));
        FUNCTIONS.iter().for_each(|(name, policy)| add(format!("function {name}"), *policy));
        topics().into_iter().for_each(|(name, topic)| add(format!("topic {name}"), May(topic_action(topic))));
        text
    }

    #[tokio::test]
    async fn every_function_is_in_the_table() {
        let registered: BTreeSet<String> = leptos::server_fn::axum::server_fn_paths()
            .map(|(path, _method)| {
                path.trim_start_matches("/api/").trim_end_matches(|c: char| c.is_ascii_digit())
            })
            .map(str::to_owned)
            .collect();
        let declared: BTreeSet<String> = FUNCTIONS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(declared, registered);
        assert_eq!(declared.len(), FUNCTIONS.len(), "each stands there once");
    }

    #[test]
    fn pages_have_routes() {
        let routes: Vec<_> = page_routes().collect();
        assert_eq!(routes.len(), PAGES.len());
        for route in ["/", "/batches/{id}/items/{seq}", "/s/{secret}"] {
            assert!(routes.iter().any(|one| one == route), "{route}");
        }
    }

    #[test]
    fn pages_are_found_by_their_path() {
        assert_eq!(of_page("/"), Some(May(Action::SeeBatches)));
        assert_eq!(of_page("/s/abc"), Some(ShareLink(Action::SeeProgress)));
        assert_eq!(of_page("/batches/1/items/2"), Some(May(Action::SeeBatch)));
        for other in ["", "/s/", "/s/abc/x", "/first", "/login/x", "/other"] {
            assert_eq!(of_page(other), None, "{other}");
        }
    }

    #[test]
    fn functions_are_found_by_their_address() {
        assert_eq!(of_function("/api/load_me123"), Some(SignedIn));
        assert_eq!(of_function("/api/load_shared9"), Some(ShareLink(Action::SeeProgress)));
        for other in ["/api/unknown1", "/api/", "/api/v1/batches", "/load_me1"] {
            assert_eq!(of_function(other), None, "{other}");
        }
    }

    /// `GOLDEN=write` makes that part of the document anew, after a change that is meant.
    #[test]
    fn the_document_says_the_table() {
        const MARK: &str = "<!-- made from the table of policies -->\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, told) = text.split_once(MARK).expect("the document has the mark");
        if std::env::var("GOLDEN").is_ok_and(|wish| wish == "write") {
            std::fs::write(path, format!("{before}{MARK}{}", as_markdown())).unwrap();
        } else {
            assert_eq!(told, as_markdown());
        }
    }
}
