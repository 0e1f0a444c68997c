//! The description of the API for programs: OpenAPI 3.1, open to everybody.
//!
//! `docs/openapi.json` says of each address what it is for, what it takes and how it succeeds. Three things are not
//! written there, because the code knows them: the schemas of protocol types come from the types, the refusals from
//! [`ErrorCode`], and what [`super::validator`] adds to reads from the shape of their answers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::protocol::{
    AuditPage, Batch, BatchPage, BatchPatch, Budget, BulkActPage, CancelRequest, DeliveryDetail,
    DeliveryPage, ErrorCode, FamilyPage, FolderList, FolderPage, IssuedShareLink, IssuedToken, ItemDetail,
    ItemPage, LogPart, NewBulkAct, NewPerson, NewSchedule, NewShareLink, NewToken, NewUpload, NodePage,
    Options, PasswordChange, PersonLink, PersonPage, PersonPatch, RetryRequest, SchedulePage, SchedulePatch,
    SchedulePreview, ScheduleTiming, SessionPage, ShareLinkPage, TaskPage, TokenPage, UploadStatus,
    WebhookDelivery, WebhookSecret,
};

/// What is written by hand.
const SOURCE: &str = include_str!("../../../docs/openapi.json");

/// The document as it is published.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// `GET /api/openapi.json`
pub async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], DOCUMENT.as_str())
}

/// The whole document.
fn document() -> Value {
    let mut document: Value = serde_json::from_str(SOURCE).expect("the document is JSON: tests read it");
    let components = &mut document["components"];
    let schemas = components["schemas"].as_object_mut().expect("the document has schemas");
    schemas.extend(derived_schemas());
    // Text in the store, a batch to submit on the wire.
    schemas["Options"]["properties"]["then"] =
        json!({"anyOf": [{"$ref": "#/components/schemas/Then"}, {"type": "null"}]});
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    schemas["Problem"]["properties"]["code"]["enum"] = json!(codes);
    let answers = components["responses"].as_object_mut().expect("the document has responses");
    answers.extend(refusals());
    components["parameters"]["IfNoneMatch"] = json!({
        "name": "If-None-Match", "in": "header", "schema": {"type": "string"},
        "description": "ETag of the answer that is at hand: 304 where it is still so.",
    });
    components["headers"]["ETag"] = json!({
        "schema": {"type": "string"}, "description": "Weak; names what the answer says.",
    });
    components["headers"]["Link"] = json!({
        "schema": {"type": "string"}, "description": "The next page, `rel=\"next\"`; none at the end.",
    });
    for (path, operations) in document["paths"].as_object_mut().expect("the document has paths") {
        for (method, operation) in operations.as_object_mut().expect("a path has operations") {
            complete(path, method, operation);
        }
    }
    document
}

/// Schemas of what is answered as it is written, and of what is asked as it is read.
fn derived_schemas() -> Map<String, Value> {
    let settings = || {
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        settings.transforms.push(Box::new(bound_integers));
        settings.transforms.push(Box::new(list_words));
        settings
    };
    let mut answered = SchemaGenerator::new(settings().for_serialize());
    answered.subschema_for::<Batch>();
    answered.subschema_for::<BatchPage>();
    answered.subschema_for::<BulkActPage>();
    answered.subschema_for::<FamilyPage>();
    answered.subschema_for::<ItemDetail>();
    answered.subschema_for::<ItemPage>();
    answered.subschema_for::<LogPart>();
    answered.subschema_for::<NodePage>();
    answered.subschema_for::<SchedulePage>();
    answered.subschema_for::<SchedulePreview>();
    answered.subschema_for::<TaskPage>();
    answered.subschema_for::<UploadStatus>();
    answered.subschema_for::<FolderList>();
    answered.subschema_for::<FolderPage>();
    answered.subschema_for::<WebhookDelivery>();
    answered.subschema_for::<DeliveryDetail>();
    answered.subschema_for::<DeliveryPage>();
    answered.subschema_for::<WebhookSecret>();
    answered.subschema_for::<AuditPage>();
    answered.subschema_for::<IssuedToken>();
    answered.subschema_for::<PersonLink>();
    answered.subschema_for::<PersonPage>();
    answered.subschema_for::<SessionPage>();
    answered.subschema_for::<TokenPage>();
    answered.subschema_for::<IssuedShareLink>();
    answered.subschema_for::<ShareLinkPage>();
    let mut asked = SchemaGenerator::new(settings().for_deserialize());
    asked.subschema_for::<BatchPatch>();
    asked.subschema_for::<Budget>();
    asked.subschema_for::<CancelRequest>();
    asked.subschema_for::<NewBulkAct>();
    asked.subschema_for::<NewUpload>();
    asked.subschema_for::<Options>();
    asked.subschema_for::<NewSchedule>();
    asked.subschema_for::<RetryRequest>();
    asked.subschema_for::<NewPerson>();
    asked.subschema_for::<NewToken>();
    asked.subschema_for::<NewShareLink>();
    asked.subschema_for::<PasswordChange>();
    asked.subschema_for::<PersonPatch>();
    asked.subschema_for::<SchedulePatch>();
    asked.subschema_for::<ScheduleTiming>();
    let mut schemas = asked.take_definitions(true);
    schemas.extend(answered.take_definitions(true));
    schemas
}

/// Says the bounds of whole numbers, which schemars leaves to their format.
fn bound_integers(schema: &mut schemars::Schema) {
    let bounds = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => Some((json!(i32::MIN), json!(i32::MAX))),
        Some("uint32") => Some((json!(0), json!(u32::MAX))),
        Some("uint64") => Some((json!(0), json!(u64::MAX))),
        _ => None,
    };
    if let Some((least, most)) = bounds {
        schema.remove("format");
        for (name, bound) in [("minimum", least), ("maximum", most)] {
            if schema.get(name).is_none() {
                schema.insert(name.to_owned(), bound);
            }
        }
    }
    schemars::transform::transform_subschemas(&mut bound_integers, schema);
}

/// Makes a list of an enumeration of words, with what each means below it; schemars makes a schema of each.
fn list_words(schema: &mut schemars::Schema) {
    let words: Option<Vec<(String, String)>> =
        schema.get("oneOf").and_then(Value::as_array).and_then(|cases| {
            let word = |case: &Value| {
                let meaning = case.get("description").and_then(Value::as_str)?;
                Some((case.get("const")?.as_str()?.to_owned(), meaning.to_owned()))
            };
            cases.iter().map(word).collect()
        });
    if let Some(words) = words {
        let mut text = schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        for (word, meaning) in &words {
            text.push_str(&format!("\n- `{word}`: {meaning}"));
        }
        schema.remove("oneOf");
        schema.insert("type".to_owned(), "string".into());
        schema
            .insert("enum".to_owned(), words.into_iter().map(|(word, _meaning)| Value::from(word)).collect());
        schema.insert("description".to_owned(), text.into());
    }
    schemars::transform::transform_subschemas(&mut list_words, schema);
}

/// One answer for each status of a refusal, with the codes that it comes with.
fn refusals() -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in ErrorCode::ALL {
        by_status.entry(code.status()).or_default().push(code);
    }
    let refusal = |(status, codes): (u16, Vec<ErrorCode>)| {
        let titles: Vec<String> =
            codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
        let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let mut answer = json!({
            "description": titles.join(" "),
            "content": {"application/problem+json": {"schema": {"allOf": [
                {"$ref": "#/components/schemas/Problem"},
                {"properties": {"status": {"const": status}, "code": {"enum": names}}},
            ]}}},
        });
        let header = match status {
            401 => Some(("WWW-Authenticate", "string", "How to sign in.")),
            405 => Some(("Allow", "string", "Methods that the address takes.")),
            409 => Some(("Retry-After", "integer", "Seconds; with `idempotency_in_flight` only.")),
            429 | 503 => Some(("Retry-After", "integer", "Seconds.")),
            _ => None,
        };
        if let Some((name, kind, text)) = header {
            answer["headers"][name] = json!({"schema": {"type": kind}, "description": text});
        }
        (format!("Problem{status}"), answer)
    };
    by_status.into_iter().map(refusal).collect()
}

/// Adds to an operation what holds for all of its kind: the refusals, and what lets a reader ask again cheaply.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let answers = operation["responses"].as_object_mut().expect("an operation has answers");
    if answers.remove("default").is_some() {
        let mut statuses = vec![400, 401, 403, 429, 500, 503];
        // What is given in parts may be asked for beyond its end.
        if answers.contains_key("206") {
            statuses.push(416);
        }
        if path.contains('{') {
            statuses.push(404);
        }
        if method != "get" {
            statuses.extend([409, 413, 507]);
        }
        if operation.get("requestBody").is_some() {
            statuses.extend([415, 422]);
        }
        let answers = &mut operation["responses"];
        for status in statuses {
            answers[status.to_string()] = json!({"$ref": format!("#/components/responses/Problem{status}")});
        }
    }
    let is_read = method == "get" && path.starts_with("/api/v1/");
    if is_read && operation["responses"]["200"]["content"].get("application/json").is_some() {
        operation["responses"]["200"]["headers"]["ETag"] = json!({"$ref": "#/components/headers/ETag"});
        operation["responses"]["304"] = json!({
            "description": "As the ETag says.", "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
        });
        let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        if parameters.iter().any(|parameter| parameter["$ref"] == "#/components/parameters/Limit") {
            operation["responses"]["200"]["headers"]["Link"] = json!({"$ref": "#/components/headers/Link"});
        }
        parameters.push(json!({"$ref": "#/components/parameters/IfNoneMatch"}));
        operation["parameters"] = parameters.into();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::server::api::ROUTES;

    #[test]
    fn the_document_names_every_route_and_no_other() {
        let mut described = BTreeSet::new();
        for (path, methods) in document()["paths"].as_object().unwrap() {
            let Some(path) = path.strip_prefix("/api/v1") else { continue };
            for method in methods.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                described.insert((method.to_uppercase(), path.to_owned()));
            }
        }
        let routed: BTreeSet<_> = ROUTES
            .iter()
            .map(|(method, path, ..)| ((*method).to_owned(), path.replace("{*name}", "{name}")))
            .collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn the_document_names_every_code_and_resolves_its_references() {
        let document = document();
        let codes =
            document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
        assert_eq!(codes.len(), ErrorCode::ALL.len());
        fn walk(document: &Value, value: &Value) {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                let target = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(target).is_some(), "{reference} is not in the document");
            }
            for inner in value.as_object().into_iter().flat_map(Map::values) {
                walk(document, inner);
            }
            for inner in value.as_array().into_iter().flatten() {
                walk(document, inner);
            }
        }
        walk(&document, &document);
    }

    #[test]
    fn every_operation_says_how_it_ends_and_is_named_once() {
        let document = document();
        let mut names = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let what = format!("{method} {path}");
                let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{what}: no name"));
                assert!(names.insert(name.to_owned()), "{name} twice");
                assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
                let answers = operation["responses"].as_object().unwrap();
                assert!(answers.keys().any(|status| status.starts_with(['1', '2'])), "{what}");
                assert!(!answers.contains_key("default"), "{what}: each status is named");
            }
        }
    }

    #[test]
    fn schemas_are_those_of_the_types() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        let refuses = |name: &str, value: Value| {
            let whole =
                json!({"$ref": format!("#/components/schemas/{name}"), "components": document["components"]});
            !jsonschema::validator_for(&whole).unwrap().is_valid(&value)
        };
        assert!(refuses("Options", json!({"priority": i64::from(i32::MAX) + 1})));
        assert!(refuses("Options", json!({"priority": null})));
        assert!(refuses("Options", json!({"attempts_max": 101})));
        assert!(refuses("Options", json!({"colour": "red"})));
        assert!(!refuses("Options", json!({"attempts_max": 100, "budget": null, "then": null})));
        assert!(refuses("BatchPatch", json!({"concurrency": 0})));
        assert!(!refuses("BatchPatch", json!({"name": null, "priority": -1})));
        assert!(refuses("Batch", json!({"id": "x"})));
        let required = schemas["Batch"]["required"].as_array().unwrap();
        assert_eq!(required.len(), schemas["Batch"]["properties"].as_object().unwrap().len());
    }
}
