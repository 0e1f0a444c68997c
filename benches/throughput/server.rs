//! A Milepost of its own: started in a fresh folder on a free port, watched through `/proc`, stopped politely.
//!
//! No server outlives its value.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{Fault, process};

/// How long a server may take to say where it listens, and to go.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the server's own words that are shown when something went wrong.
const SHOWN_BYTES: usize = 4_000;

/// A running server.
pub struct Server {
    child: Child,
    /// Its number.
    pub process: u32,
    words: PathBuf,
    /// `http://ADDR`.
    pub base: String,
    /// Of an admin.
    pub token: String,
}

/// What a server is to be: where its truth is, and what it does.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// URL of a database; none: a SQLite file in its folder.
    pub database: Option<&'a str>,
    /// `all`, `web` or `worker`.
    pub role: &'static str,
    /// Items at once; 0: as many as it takes by itself.
    pub slots: u32,
    /// Where it listens.
    pub listen: &'a str,
    /// Further settings, as in its environment.
    pub settings: &'a [(&'a str, &'a str)],
    /// The one core that it may use; none: all.
    pub core: Option<usize>,
    /// A token that its data knows already; none: one is made.
    pub token: Option<&'a str>,
}

impl Part<'_> {
    /// One node on a SQLite file.
    pub const ALONE: Self = Self {
        database: None,
        role: "all",
        slots: 0,
        listen: "127.0.0.1:0",
        settings: &[],
        core: None,
        token: None,
    };

    fn arguments(self, command: &mut Command) {
        if let Some(url) = self.database {
            command.args(["--database", url]);
        }
    }
}

/// `program`, held to one core where one is named.
pub fn on_core(program: &Path, core: Option<usize>) -> Command {
    let Some(core) = core else { return Command::new(program) };
    // It becomes the program: the process stays the same.
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

/// Makes a token of an admin for a server in `folder`.
pub async fn make_token(binary: &Path, folder: &Path, part: Part<'_>, name: &str) -> Result<String, Fault> {
    let mut making = Command::new(binary);
    making.args(["token", "create", "--role", "admin", "--name", name, "--data"]).arg(folder.join("data"));
    part.arguments(&mut making);
    let made = making.current_dir(folder).output().await?;
    if !made.status.success() {
        return Err(format!("token create: {}", String::from_utf8_lossy(&made.stderr)).into());
    }
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}

impl Server {
    /// Starts the server in `folder`, with a token, and waits until it listens.
    pub async fn start(binary: &Path, folder: &Path, part: Part<'_>) -> Result<Self, Fault> {
        let data = folder.join("data");
        let token = match part.token {
            Some(token) => token.to_owned(),
            None => make_token(binary, folder, part, &format!("bench-{}", part.role)).await?,
        };
        let words = folder.join(format!("server-{}.log", part.role));
        let mut serving = on_core(binary, part.core);
        serving.args(["serve", "--listen", part.listen, "--role", part.role, "--data"]).arg(&data);
        part.arguments(&mut serving);
        if part.slots > 0 {
            serving.args(["--slots", &part.slots.to_string()]);
        }
        serving.envs(part.settings.iter().copied());
        let mut child = serving
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&words)?)
            .kill_on_drop(true)
            .spawn()?;
        let process = child.id().ok_or("the server ended at once")?;
        let stdout = child.stdout.take().ok_or("the server has no standard output")?;
        let mut server = Self { child, process, words, base: String::new(), token };
        let mut lines = BufReader::new(stdout).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, address)) = line.split_once("listening on http://") {
                    return Ok::<_, Fault>(format!("http://{}", address.trim()));
                }
            }
            Err("the server ended before it listened".into())
        };
        server.base = match tokio::time::timeout(PATIENCE, listening).await {
            Ok(Ok(base)) => base,
            Ok(Err(fault)) => return Err(server.explain(fault)),
            Err(_late) => return Err(server.explain("the server did not listen in time".into())),
        };
        // Read on, so that the server never waits for somebody to read.
        tokio::spawn(async move { while let Ok(Some(_line)) = lines.next_line().await {} });
        Ok(server)
    }

    /// The most memory that the server has held, in bytes (`VmHWM`).
    pub fn peak_bytes(&self) -> Result<f64, Fault> {
        process::bytes(self.process, "VmHWM")
    }

    /// Processor time that the server has taken, in seconds (user and system).
    pub fn cpu_seconds(&self) -> Result<f64, Fault> {
        process::cpu_seconds(self.process)
    }

    /// Adds what the server said to a fault.
    pub fn explain(&self, fault: Fault) -> Fault {
        let words = std::fs::read(&self.words).unwrap_or_default();
        let tail = &words[words.len().saturating_sub(SHOWN_BYTES)..];
        format!("{fault}\nthe server said:\n{}", String::from_utf8_lossy(tail)).into()
    }

    /// Asks the server to go, and waits for it.
    pub async fn stop(mut self) -> Result<(), Fault> {
        Command::new("kill").args(["-TERM", &self.process.to_string()]).status().await?;
        if tokio::time::timeout(PATIENCE, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}
