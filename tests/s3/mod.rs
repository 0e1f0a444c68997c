//! An S3 server of the tests' own: one bucket in a temporary folder, gone with the process that made it.
//!
//! Used by the tests from outside and the file store's own. It checks signatures, and may be killed and started again
//! where it was, on what it had.
//!
//! ```text
//! MILEPOST_TEST_S3=off   no server: tests that need one say that they were skipped
//! ```

#![allow(dead_code, reason = "each of its users needs another part")]
#![allow(clippy::allow_attributes, reason = "an expectation would not be met in all of them")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Name of the bucket.
pub const BUCKET: &str = "contents";
/// The only key that the server knows, and its secret.
pub const KEY_ID: &str = "tests";
pub const SECRET: &str = "of their own";
/// How often another port is tried where somebody else was quicker.
const PORT_TRIES: u32 = 8;
/// Longest wait for a start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Kills the server once standard input ends, as it does with the process that holds it.
const WATCHER: &str =
    "\"$@\" </dev/null & process=$!; cat >/dev/null; kill -9 $process; wait $process 2>/dev/null";

/// A server that runs, or may be started again.
pub struct S3Server {
    folder: tempfile::TempDir,
    port: u16,
    watcher: Option<Child>,
}

impl S3Server {
    /// With an empty bucket; none where tests are told to go without.
    ///
    /// # Panics
    /// Where s3s-fs is not installed, or does not start.
    pub async fn start() -> Option<Self> {
        if std::env::var("MILEPOST_TEST_S3").is_ok_and(|wish| wish == "off") {
            assert!(
                std::env::var_os("CI").is_none(),
                "MILEPOST_TEST_S3=off: nothing is left out where CI is set"
            );
            return None;
        }
        let folder = tempfile::Builder::new().prefix("milepost-s3-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut server = Self { folder, port: 0, watcher: None };
        for _try in 0..PORT_TRIES {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if server.try_start().await {
                return Some(server);
            }
        }
        panic!("no port is free for the S3 server");
    }

    /// Starts it again where it was.
    ///
    /// # Panics
    /// Where it does not listen in time.
    pub async fn start_again(&mut self) {
        assert!(self.watcher.is_none(), "it runs");
        let deadline = Instant::now() + PATIENCE;
        while !self.try_start().await {
            assert!(Instant::now() < deadline, "the S3 server does not start again");
        }
    }

    async fn try_start(&mut self) -> bool {
        let mut command = Command::new("sh");
        command.args(["-c", WATCHER, "sh"]).arg(program());
        command.args(["--host", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--access-key", KEY_ID, "--secret-key", SECRET]).arg(self.folder.path());
        let mut watcher =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && watcher.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                self.watcher = Some(watcher);
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(watcher.stdin.take());
        watcher.wait().unwrap();
        false
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            drop(watcher.stdin.take());
            watcher.wait().unwrap();
        }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a server of Milepost is to be told.
    pub fn settings(&self) -> Vec<(String, String)> {
        [
            ("MILEPOST_FILES_URL", format!("s3://{BUCKET}/milepost")),
            ("MILEPOST_FILES_ENDPOINT", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// The objects in the bucket.
    pub fn objects(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().join(BUCKET)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found
    }

    /// Parts of uploads that have not come to their end, or were broken off.
    pub fn parts(&self) -> usize {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.filter(|entry| is_part(&entry.as_ref().unwrap().path())).count()
    }
}

fn is_part(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    name.starts_with(".upload_id-") && name.contains(".part-")
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where `scripts/tools s3` has put the way to it.
fn program() -> PathBuf {
    // target/debug/deps/it-…, whatever the target folder is called.
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(3).expect("a target folder").join("s3s-fs");
    assert!(
        program.exists(),
        "s3s-fs is not installed: scripts/tools s3; MILEPOST_TEST_S3=off leaves out what needs it"
    );
    program
}
