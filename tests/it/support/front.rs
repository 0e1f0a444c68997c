//! A real proxy in front of a server, set up by the snippets of docs/operations.md.
//!
//! Nothing of a snippet is changed but addresses, certificates and the file of users. Needs nginx and Caddy
//! (`scripts/tools proxies`); `MILEPOST_TEST_PROXIES=off` leaves them out.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{PATIENCE, TestServer};

/// The password of everybody whom a proxy knows, and its hash by bcrypt.
pub const PROXY_PASSWORD: &str = "kelp vane otter";
const NGINX_HASH: &str = "{PLAIN}kelp vane otter";

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    Nginx,
    Caddy,
}

/// A proxy that runs, until dropped.
pub struct RunningFront {
    pub port: u16,
    _child: Child,
}

/// A port that nobody has.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// True where the tests of proxies are left out.
pub fn without_proxies() -> bool {
    let off = std::env::var("MILEPOST_TEST_PROXIES").is_ok_and(|wish| wish == "off");
    let ci = std::env::var_os("CI").is_some();
    assert!(!(off && ci), "MILEPOST_TEST_PROXIES=off: nothing is left out where CI is set");
    off
}

/// The blocks of `language` in docs/operations.md, in order.
fn snippets(language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let document = std::fs::read_to_string(path).unwrap();
    let fence = format!("\n```{language}\n");
    let block = |rest: &str| rest.split_once("\n```").expect("an end of the block").0.to_owned();
    document.split(&fence).skip(1).map(block).collect()
}

/// `text` with `old`, which is there, replaced everywhere.
fn with(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "the snippet has no {old:?}: {text}");
    text.replace(old, new)
}

impl Front {
    /// Starts the proxy on `port` before `server`; where `names`, it says who asks.
    pub async fn start(self, server: &TestServer, port: u16, names: bool) -> RunningFront {
        let folder = server.folder.path().join(format!("{self:?}-{port}"));
        std::fs::create_dir(&folder).unwrap();
        let mut command = match self {
            Self::Nginx => nginx(&folder, server.authority(), port, names),
            Self::Caddy => caddy(&folder, server.authority(), port, names).await,
        };
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = child.kill_on_drop(true).spawn().unwrap_or_else(|fault| missing(self, &fault));
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let ended = child.try_wait().unwrap();
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "{self:?} does not listen: {log}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        RunningFront { port, _child: child }
    }
}

fn missing(front: Front, fault: &std::io::Error) -> ! {
    panic!("{front:?}: {fault}: run scripts/tools proxies")
}

/// Where Debian puts what only root is meant to run.
fn program(name: &str) -> PathBuf {
    let sbin = Path::new("/usr/sbin").join(name);
    if sbin.exists() { sbin } else { PathBuf::from(name) }
}

fn nginx(folder: &Path, upstream: &str, port: u16, names: bool) -> Command {
    let blocks = snippets("nginx");
    let [server, map, location] = &blocks[..] else { panic!("three blocks of nginx: {blocks:?}") };
    let mut text = with(server, "server 127.0.0.1:3000;", &format!("server {upstream};"));
    text = with(&text, "listen 443 ssl;", &format!("listen 127.0.0.1:{port};"));
    let certificates = |line: &&str| !line.trim_start().starts_with("ssl_certificate");
    text = text.lines().filter(certificates).collect::<Vec<_>>().join("\n");
    if names {
        let users = folder.join("users");
        std::fs::write(&users, format!("ada:{NGINX_HASH}\nbob:{NGINX_HASH}\n")).unwrap();
        let location = with(location, "/etc/nginx/milepost.users", users.to_str().unwrap());
        text = with(&text, "    location / {\n", &format!("    location / {{\n{location}\n"));
        text = format!("{map}\n{text}");
    }
    // What every configuration has around it; all that nginx writes goes into the folder.
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};", folder.join(kind).display()));
    let text = format!(
        "daemon off;\npid {};\nevents {{}}\nhttp {{\naccess_log off;\n{}\n{text}\n}}\n",
        folder.join("pid").display(),
        temporary.join("\n")
    );
    // Workers of root would be somebody else, to whom the folder is closed.
    let text = if rustix::process::geteuid().is_root() { format!("user root;\n{text}") } else { text };
    std::fs::write(folder.join("nginx.conf"), text).unwrap();
    let mut command = Command::new(program("nginx"));
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(folder.join("nginx.conf"));
    command
}

async fn caddy(folder: &Path, upstream: &str, port: u16, names: bool) -> Command {
    let blocks = snippets("caddyfile");
    let [plain, naming] = &blocks[..] else { panic!("two blocks of Caddy: {blocks:?}") };
    let mut text = with(if names { naming } else { plain }, "127.0.0.1:3000", upstream);
    text = with(&text, "milepost.example.org {", &format!("http://127.0.0.1:{port} {{"));
    if names {
        let hash =
            Command::new("caddy").args(["hash-password", "--plaintext", PROXY_PASSWORD]).output().await;
        let hash = hash.unwrap_or_else(|fault| missing(Front::Caddy, &fault));
        let hash = String::from_utf8(hash.stdout).unwrap().trim().to_owned();
        let users = folder.join("users");
        std::fs::write(&users, format!("ada {hash}\nbob {hash}\n")).unwrap();
        text = with(&text, "/etc/caddy/milepost.users", users.to_str().unwrap());
    }
    let text = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{text}\n");
    std::fs::write(folder.join("Caddyfile"), text).unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
    command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
    command
}
