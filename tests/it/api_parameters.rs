//! Every parameter that the published document names, as the server takes it.
//!
//! What the document allows is taken, what it does not allow is refused by a problem that says what was expected; so
//! neither can change alone.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Reply, TestServer, id, send};

/// Follows a reference inside the document.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).expect("it resolves"),
        None => value,
    }
}

/// One parameter of one operation.
struct Parameter {
    method: Method,
    path: String,
    place: String,
    name: String,
    schema: Value,
}

fn parameters(document: &Value) -> Vec<Parameter> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/api/v1") else { continue };
        let shared = methods["parameters"].as_array().cloned().unwrap_or_default();
        for (method, operation) in methods.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters")
        {
            let own = operation["parameters"].as_array().cloned().unwrap_or_default();
            for parameter in shared.iter().chain(&own) {
                let parameter = resolved(document, parameter);
                found.push(Parameter {
                    method: method.to_uppercase().parse().unwrap(),
                    path: path.to_owned(),
                    place: parameter["in"].as_str().unwrap().to_owned(),
                    name: parameter["name"].as_str().unwrap().to_owned(),
                    schema: resolved(document, &parameter["schema"]).clone(),
                });
            }
        }
    }
    found
}

/// A server with a batch that has finished, with failures.
struct Tried {
    server: TestServer,
    batch: String,
}

impl Tried {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let body = json!({"task": "demo", "params": {"fail_rate": 0.5}, "items": {"count": 20},
            "options": {"attempts_max": 1}});
        let batch = server.post_json("/batches", &body).await.ok();
        let batch = id(&server.finished(&batch).await).to_owned();
        Self { server, batch }
    }

    /// Asks with the parameter set to `value`; all else is as good as it can be.
    async fn ask(&self, parameter: &Parameter, value: &str) -> Reply {
        let of_path = |name: &str, good: &str| {
            if parameter.place == "path" && parameter.name == name {
                value.to_owned()
            } else {
                good.to_owned()
            }
        };
        let node = self.server.get("/nodes").await.ok()["nodes"][0]["id"].as_str().unwrap().to_owned();
        let whose = if parameter.path.starts_with("/nodes") { &node } else { &self.batch };
        let path = parameter
            .path
            .replace("{id}", &of_path("id", whose))
            .replace("{seq}", &of_path("seq", "1"))
            .replace("{name}", &of_path("name", "none"));
        let mut request = self.server.request(parameter.method.clone(), &path);
        if parameter.place == "query" {
            request = request.query(&[(parameter.name.as_str(), value)]);
        }
        if parameter.place == "header" {
            request = request.header(parameter.name.as_str(), value);
        }
        send(request).await
    }
}

#[tokio::test]
async fn every_value_of_an_enumeration_is_taken_and_no_other() {
    let tried = Tried::start().await;
    let document =
        send(tried.server.client.get(format!("{}/api/openapi.json", tried.server.base))).await.json();
    let mut enumerations = 0;
    for parameter in parameters(&document) {
        let Some(values) = parameter.schema["enum"].as_array() else { continue };
        if parameter.method != Method::GET {
            // What is said of a body is tried with one, in the tests of bodies.
            continue;
        }
        enumerations += 1;
        for value in values {
            let reply = tried.ask(&parameter, value.as_str().unwrap()).await;
            // The item that is tried has no file: that is said only where the value is taken.
            let no_file = parameter.path.ends_with("/files/{name}") && reply.status == 404;
            let is_taken = reply.status.is_success() || no_file;
            assert!(is_taken, "{}={value} of {}: {reply:?}", parameter.name, parameter.path);
        }
        for other in ["nonsense", "with_failures", "FAILED", "failed,running", "0", "\0", " "] {
            let reply = tried.ask(&parameter, other).await;
            let what = format!("{}={other:?} of {}: {reply:?}", parameter.name, parameter.path);
            assert!(reply.status.is_client_error(), "{what}");
            let detail = reply.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(&parameter.name), "it names the parameter: {what}");
            let names_all = values.iter().all(|value| detail.contains(value.as_str().unwrap()));
            assert!(names_all, "it names what was expected: {what}");
        }
    }
    // state of batches, state of items, format and only of results.
    assert!(enumerations >= 4, "{enumerations}");
}

#[tokio::test]
async fn numbers_are_taken_within_their_bounds() {
    let tried = Tried::start().await;
    let document =
        send(tried.server.client.get(format!("{}/api/openapi.json", tried.server.base))).await.json();
    let mut numbers = 0;
    for parameter in parameters(&document) {
        // In a query an empty one is as none.
        let schema = parameter.schema["anyOf"].get(0).unwrap_or(&parameter.schema);
        if schema["type"] != "integer" || parameter.method != Method::GET {
            continue;
        }
        numbers += 1;
        let (least, most) = (schema["minimum"].as_u64(), schema["maximum"].as_u64());
        let good = [least.or(Some(0)), most, Some(least.unwrap_or(0) + 1), most.is_none().then_some(501)];
        for value in good.into_iter().flatten() {
            let reply = tried.ask(&parameter, &value.to_string()).await;
            let what = format!("{}={value} of {}: {reply:?}", parameter.name, parameter.path);
            // A place in the path may be of nothing that is there.
            let names_something =
                ["{seq}", "/folders/{name}"].iter().any(|part| parameter.path.contains(part));
            let is_there = reply.status.is_success() || names_something && reply.status == 404;
            assert!(is_there, "{what}");
        }
        for bad in ["-1", "1.5", "one", "0x1", "1e3", "+1"] {
            let reply = tried.ask(&parameter, bad).await;
            let problem = reply.problem(400, "malformed");
            assert!(problem["detail"].as_str().unwrap().contains(&parameter.name), "{reply:?}");
        }
    }
    assert!(numbers >= 5, "{numbers}");
}

#[tokio::test]
async fn batches_with_failures_can_be_listed() {
    let tried = Tried::start().await;
    tried.server.finished(&tried.server.demo(3, json!({})).await).await;
    let list = tried.server.get("/batches?state=failures").await.ok();
    let found: Vec<&str> = list["batches"].as_array().unwrap().iter().map(id).collect();
    assert_eq!(found, [tried.batch.as_str()]);
    for page in ["/?state=failures", "/?state=active"] {
        let request = tried.server.client.get(format!("{}{page}", tried.server.base));
        let page = send(request.bearer_auth(&tried.server.token).header("accept", "text/html")).await;
        assert_eq!(page.status, 200, "{page:?}");
    }
    let nothing = tried.server.get("/batches?q=%00").await.ok();
    assert_eq!(nothing["batches"], json!([]), "no name has a NUL");
}

#[tokio::test]
async fn what_the_schemas_of_bodies_allow_is_taken() {
    let tried = Tried::start().await;
    let path = format!("/batches/{}", tried.batch);
    let patch = async |body: Value| send(tried.server.request(Method::PATCH, &path).json(&body)).await;
    patch(json!({"name": null, "concurrency": null, "priority": null})).await.ok();
    for priority in [i32::MIN, i32::MAX] {
        assert!(patch(json!({"priority": priority})).await.status.is_success());
    }
    patch(json!({"priority": i64::from(i32::MAX) + 1})).await.problem(422, "invalid");
    let retry = format!("{path}/retry");
    tried.server.post_json(&retry, &json!({"family": null, "seqs": null, "states": null})).await.ok();
    tried.server.post_json(&retry, &json!({"seqs": [1.0]})).await.problem(422, "invalid");
}
