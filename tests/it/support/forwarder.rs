//! A door in front of a server that can be moved, shut, and made to say nothing.
//!
//! Used where a client must keep its address while servers come and go. What it does to connections it does to all
//! that are open at once.

use std::future::pending;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

use super::TestServer;

/// What becomes of open connections.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// They break.
    Cut,
    /// They stay open, and nothing passes any more.
    Frozen,
}

/// The door. Connections made while it is aimed at nothing break at once.
pub struct Forwarder {
    /// Address of the door, as `--url` takes it.
    pub base: String,
    target: Arc<Mutex<Option<String>>>,
    fate: broadcast::Sender<Fate>,
}

impl Forwarder {
    /// A door aimed at `server`.
    pub async fn before(server: &TestServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let forwarder = Self { base, target: Arc::default(), fate: broadcast::channel(1).0 };
        forwarder.aim(server);
        let (target, fate) = (forwarder.target.clone(), forwarder.fate.clone());
        tokio::spawn(async move {
            while let Ok((client, _peer)) = listener.accept().await {
                // First, so that no fate is missed.
                let heard = fate.subscribe();
                let to = target.lock().unwrap().clone();
                tokio::spawn(carry(client, to, heard));
            }
        });
        forwarder
    }

    /// New connections go to `server`.
    pub fn aim(&self, server: &TestServer) {
        *self.target.lock().unwrap() = Some(server.authority().to_owned());
    }

    /// Open connections break.
    pub fn cut(&self) {
        // Nobody is connected: as good.
        let _heard = self.fate.send(Fate::Cut);
    }

    /// Open connections break, and so do new ones until it is aimed again.
    pub fn shut(&self) {
        *self.target.lock().unwrap() = None;
        self.cut();
    }

    /// Nothing passes on open connections any more; new ones are as before.
    pub fn freeze(&self) {
        assert!(self.fate.send(Fate::Frozen).is_ok(), "somebody is connected");
    }
}

async fn carry(mut client: TcpStream, to: Option<String>, mut heard: broadcast::Receiver<Fate>) {
    let Some(to) = to else { return };
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    tokio::select! {
        _ended = copy_bidirectional(&mut client, &mut server) => {}
        fate = heard.recv() => match fate {
            Ok(Fate::Frozen) => pending().await,
            Ok(Fate::Cut) | Err(_) => {}
        }
    }
}
