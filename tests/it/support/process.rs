//! What the server's process holds, as the system says it.
//!
//! Used by tests that ask whether something was kept. Figures are of the running process.

use super::TestServer;

/// A mebibyte.
pub const MIB: u64 = 1024 * 1024;

/// Bytes of memory that are resident.
pub fn resident_bytes(server: &TestServer) -> u64 {
    memory(server, "VmRSS:")
}

/// Bytes of memory that were resident at the most.
pub fn peak_bytes(server: &TestServer) -> u64 {
    memory(server, "VmHWM:")
}

fn memory(server: &TestServer, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure));
    let line = line.unwrap_or_else(|| panic!("it has ended: {}", server.log()));
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Sockets that are open, those without a peer included.
pub fn sockets(server: &TestServer) -> usize {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", server.process())).unwrap();
    let links = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

/// The figure `name` of `/metrics`; none where there is no such figure.
pub async fn figure(server: &TestServer, name: &str) -> Option<f64> {
    let request = server.client.get(format!("{}/metrics", server.base)).bearer_auth(&server.token);
    let text = super::send(request).await.text;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// True while the server holds its end of the connection that a client has from `port`; what the system still has to
/// send of one that was closed is nobody's.
pub fn holds(server: &TestServer, port: u16) -> bool {
    let own: u16 = server.authority().rsplit(':').next().unwrap().parse().unwrap();
    let port_of = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        port_of(fields[1]) == own && port_of(fields[2]) == port && fields[9] != "0"
    })
}
