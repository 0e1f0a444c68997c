//! People who sign in with a password, and what they are let in by.
//!
//! Used by tests of who may come in. As a person does it: added by the command line, signed in by the form.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;

use super::TestServer;

pub const PASSWORD: &str = "correct horse battery";

impl TestServer {
    /// Adds a person.
    pub async fn add_person(&self, name: &str, role: &str) {
        let mut child = self
            .command(&["user", "add", name, "--role", role, "--password-stdin", "--data", "data"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).await.unwrap();
        assert!(child.wait().await.unwrap().success(), "{name} is not added");
    }

    /// Signs a person in; the header `Cookie` of their browser.
    pub async fn sign_in(&self, name: &str) -> String {
        let client = super::client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let form = client.post(format!("{}/login", self.base)).header("origin", &self.base);
        let response = form.form(&[("name", name), ("password", PASSWORD)]).send().await.unwrap();
        assert_eq!(response.status(), 303, "{name} may come in");
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}
