//! The description of the API for programs.
//!
//! Paths and methods of the document are those of [`super::ROUTES`], by test. Open to everybody.

use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// The document as it is published.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// `GET /api/openapi.json`
pub async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::DOCUMENT;
    use crate::protocol::ErrorCode;
    use crate::server::api::ROUTES;

    #[test]
    fn the_document_names_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            let Some(path) = path.strip_prefix("/api/v1") else { continue };
            for method in methods.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                described.insert((method.to_uppercase(), path.to_owned()));
            }
        }
        let routed: BTreeSet<_> = ROUTES
            .iter()
            .map(|(method, path, _)| ((*method).to_owned(), path.replace("{*name}", "{name}")))
            .collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn the_document_names_every_code_and_resolves_its_references() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let codes =
            document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
        let codes: BTreeSet<&str> = codes.iter().map(|code| code.as_str().unwrap()).collect();
        assert_eq!(codes, ErrorCode::ALL.iter().map(|code| code.as_str()).collect());
        fn walk(document: &serde_json::Value, value: &serde_json::Value) {
            if let Some(reference) = value["$ref"].as_str() {
                let target = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(target).is_some(), "{reference}");
            }
            match value {
                serde_json::Value::Object(members) => {
                    members.values().for_each(|member| walk(document, member))
                }
                serde_json::Value::Array(members) => members.iter().for_each(|member| walk(document, member)),
                _ => {}
            }
        }
        walk(&document, &document);
    }
}
