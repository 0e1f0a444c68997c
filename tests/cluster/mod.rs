//! A Postgres of the tests' own: made in a temporary folder, gone with the process that made it.
//!
//! Used by the tests from outside, the store's own and the bench. Nothing of it outlives the process, even one that
//! is killed, and it never runs as root.
//!
//! ```text
//! MILEPOST_TEST_POSTGRES=off   no cluster: tests that need one say that they were skipped
//! ```

#![allow(dead_code, reason = "each of its users needs another part")]
#![allow(clippy::allow_attributes, reason = "an expectation would not be met in all of them")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// How often another port is tried where somebody else was quicker.
const PORT_TRIES: u32 = 8;
/// Seconds that a start or a stop may take.
const PATIENCE_SECONDS: &str = "60";
/// What differs from Postgres' own settings: quick where only the machine's end could tell the difference.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
synchronous_commit = on
max_connections = 300
shared_buffers = '64MB'
log_line_prefix = '%m %d '
";
/// Ends the cluster and removes its folder once standard input ends, as it does with the process that holds it.
const WATCHER: &str = "trap '' INT TERM HUP; cat >/dev/null; \
     $4 \"$1/pg_ctl\" stop -D \"$2\" -m immediate -w >/dev/null 2>&1; rm -rf \"$3\"";

/// How a cluster is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Connections are cut, what was committed is written down.
    Fast,
    /// As a crash: the next start recovers.
    Immediate,
}

/// A running cluster.
pub struct Cluster {
    folder: PathBuf,
    binaries: PathBuf,
    /// Whom it runs as, where that is not the user of this process.
    user: Option<String>,
    port: u16,
    databases: AtomicU32,
    watcher: Child,
}

impl Cluster {
    /// The one of this process; none where tests are told to go without.
    ///
    /// # Panics
    /// Where Postgres is not installed, or does not start.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(Self::own).as_ref()
    }

    /// One for the caller alone, who may stop it; none where tests are told to go without.
    ///
    /// # Panics
    /// As [`Cluster::shared`].
    pub fn own() -> Option<Self> {
        if std::env::var("MILEPOST_TEST_POSTGRES").is_ok_and(|wish| wish == "off") {
            assert!(
                std::env::var_os("CI").is_none(),
                "MILEPOST_TEST_POSTGRES=off: nothing is left out where CI is set"
            );
            return None;
        }
        let binaries = binaries().unwrap_or_else(|| {
            panic!(
                "Postgres is not installed: apt-get install postgresql (or scripts/tools postgres); \
                 MILEPOST_TEST_POSTGRES=off leaves out what needs it"
            )
        });
        Some(Self::make(binaries))
    }

    fn make(binaries: PathBuf) -> Self {
        let user = other_user();
        let folder = tempfile::Builder::new().prefix("milepost-postgres-").tempdir().unwrap().keep();
        if let Some(user) = &user {
            done(Command::new("chown").arg(user).arg(&folder).output());
        }
        let data = folder.join("data");
        let initdb = binaries.join("initdb");
        let initdb = initdb.to_str().unwrap();
        done(
            as_user(user.as_deref(), initdb)
                .args(["-A", "trust", "-U", "app", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
                .arg(&data)
                .output(),
        );
        let mut watcher = Command::new("sh");
        watcher.args(["-c", WATCHER, "sh"]).arg(&binaries).arg(&data).arg(&folder);
        watcher.arg(user.as_ref().map_or_else(String::new, |user| format!("runuser -u {user} --")));
        // A group of its own: Ctrl-C at the terminal must not end it before its work.
        watcher.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watcher = watcher.current_dir("/").spawn().unwrap();
        let mut cluster = Self { folder, binaries, user, port: 0, databases: AtomicU32::new(1), watcher };
        cluster.settle();
        cluster
    }

    /// Finds a port and starts on it.
    fn settle(&mut self) {
        for _try in 0..PORT_TRIES {
            self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut settings = SETTINGS.to_owned();
            let sockets = self.folder.display();
            write!(settings, "port = {}\nunix_socket_directories = '{sockets}'\n", self.port).unwrap();
            // The later of two settings counts; where this process may not write, its user's shell may.
            let path = self.folder.join("data/postgresql.auto.conf");
            let text = format!("cat > '{}'", path.display());
            let mut writing = as_user(self.user.as_deref(), "sh")
                .args(["-c", &text])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(&mut writing.stdin.take().unwrap(), settings.as_bytes()).unwrap();
            assert!(writing.wait().unwrap().success(), "{} cannot be written", path.display());
            if self.control(&["start"]).status.success() {
                return;
            }
        }
        panic!("Postgres does not start:\n{}", self.log());
    }

    fn control(&self, arguments: &[&str]) -> Output {
        let control = self.binaries.join("pg_ctl");
        as_user(self.user.as_deref(), control.to_str().unwrap())
            .args(arguments)
            .args(["-w", "-t", PATIENCE_SECONDS, "-D"])
            .arg(self.folder.join("data"))
            .arg("-l")
            .arg(self.folder.join("log"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// A fresh database: its URL.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.query("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Where the database `name` is.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://app@127.0.0.1:{}/{name}", self.port)
    }

    /// What `text` answers in the database `name`, a row a line, columns apart by `|`.
    pub fn query(&self, name: &str, text: &str) -> String {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d"]).arg(self.url(name));
        let output = psql.args(["-c", text]).current_dir("/").output();
        String::from_utf8(done(output).stdout).unwrap().trim().to_owned()
    }

    /// Stops it and starts it again, on the same port.
    pub fn restart(&self, how: Stop) {
        self.stop(how);
        self.start();
    }

    /// Stops it.
    pub fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        let output = self.control(&["stop", "-m", mode]);
        assert!(output.status.success(), "{output:?}");
    }

    /// Starts it again.
    pub fn start(&self) {
        let output = self.control(&["start"]);
        assert!(output.status.success(), "{output:?}\n{}", self.log());
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let path = self.folder.join("log");
        let output = as_user(self.user.as_deref(), "cat").arg(path).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Lines of the log about the database behind `url` that hold `word`.
    pub fn logged(&self, url: &str, word: &str) -> Vec<String> {
        let name = format!(" {} ", url.rsplit('/').next().unwrap_or_default());
        let log = self.log();
        log.lines().filter(|line| line.contains(&name) && line.contains(word)).map(str::to_owned).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ended = self.watcher.wait();
    }
}

/// A command as the user that Postgres runs as.
fn as_user(user: Option<&str>, program: &str) -> Command {
    let mut command = match user {
        Some(user) => {
            let mut command = Command::new("runuser");
            command.args(["-u", user, "--", program]);
            command
        }
        None => Command::new(program),
    };
    // The folder of this process may not be the other user's to see.
    command.current_dir("/").env_remove("PGDATA").env_remove("PGPORT").env("LC_ALL", "C.UTF-8");
    command
}

fn done(output: std::io::Result<Output>) -> Output {
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// Postgres refuses to run as root: then, and only then, somebody else does it.
fn other_user() -> Option<String> {
    let answer = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if answer(&["-u"]).as_deref() != Some("0") {
        return None;
    }
    Some(if answer(&["-u", "postgres"]).is_some() { "postgres" } else { "nobody" }.to_owned())
}

/// The newest in Debian's place, or what the path holds.
fn binaries() -> Option<PathBuf> {
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = debian
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(|path| version(path).unwrap_or(0));
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest
        .map(|path| path.join("bin"))
        .or_else(|| std::env::split_paths(&path).find(|folder| folder.join("initdb").exists()))
}
