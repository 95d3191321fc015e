//! A server that says what a recorded server said, and shows the nodes that it had.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use bytes::BytesMut;
use pcp_client::sandbox::{Age, Answer, Mode, World};
use pcp_proto::message::{NodeRole, NodeStatus};
use pcp_proto::{Credentials, Frame, FrameDecoder, Kind, ReplyKind, RequestKind, Salt};
use pcp_tests::captures::{Capture, Side};

/// Answers the login and the recorded request with the recorded bytes, and every other request as a sandbox of that age
/// does: before the recorded request with the nodes as they were before, after it with the nodes as they settled.
pub(crate) struct Replay {
    pub(crate) port: u16,
    /// The directory of its socket, where the recorded one was a socket too.
    pub(crate) dir: Option<PathBuf>,
    state: Arc<Mutex<State>>,
}

struct State {
    salt: Vec<u8>,
    login: Vec<u8>,
    /// What the recorded client asked, and all that came for it.
    request: Option<Frame<RequestKind>>,
    reply: Vec<u8>,
    worlds: VecDeque<World>,
    asked: Vec<Frame<RequestKind>>,
    /// The recorded request, once it was answered.
    served: Option<Frame<RequestKind>>,
}

impl Replay {
    /// Starts to serve. It ends with the process.
    pub(crate) fn start(capture: &Capture, dir: &Path) -> Result<Self> {
        let state = Arc::new(Mutex::new(State::of(capture)));
        if capture.unix {
            let dir = dir.join(capture.to_string().replace('/', "-"));
            fs::create_dir_all(&dir)?;
            let listener = UnixListener::bind(dir.join(".s.PGSQL.9898"))?;
            let served = Arc::clone(&state);
            thread::spawn(move || listener.incoming().flatten().for_each(|stream| serve(stream, &served)));
            return Ok(Self { port: 9898, dir: Some(dir), state });
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let served = Arc::clone(&state);
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| serve(stream, &served)));
        Ok(Self { port, dir: None, state })
    }

    /// Returns the recorded request, where one was taken up.
    pub(crate) fn recorded(&self) -> Option<Frame<RequestKind>> {
        self.state.lock().unwrap().served.clone()
    }

    /// Returns what was asked so far, on all connections, logins and goodbyes left out.
    pub(crate) fn asked(&self) -> Vec<Frame<RequestKind>> {
        self.state.lock().unwrap().asked.clone()
    }
}

impl State {
    fn of(capture: &Capture) -> Self {
        let server = capture.bytes(Side::Server);
        let mut parts = split(&server, &[ReplyKind::SALT, ReplyKind::LOGIN]);
        let client = frames::<RequestKind>(&capture.bytes(Side::Client));
        let is_request = |frame: &Frame<RequestKind>| {
            !matches!(frame.kind, RequestKind::READ_SALT | RequestKind::LOGIN | RequestKind::DISCONNECT)
        };
        let reply = parts.pop().unwrap_or_default();
        let (salt, login) = (parts.first().cloned(), parts.get(1).cloned());
        let request = client.into_iter().find(is_request);
        // A login that was refused has no part of its own.
        let (salt, login, reply) = match (salt, login) {
            (Some(salt), Some(login)) => (salt, login, reply),
            (Some(salt), None) => (salt, reply, Vec::new()),
            _ => (reply, Vec::new(), Vec::new()),
        };
        let before = world(capture, capture.nodes[0].as_deref());
        let settled = world(capture, capture.nodes[2].as_deref());
        Self { salt, login, request, reply, worlds: [before, settled].into(), asked: Vec::new(), served: None }
    }

    /// Returns what goes out for a request; nothing where the recorded server said nothing.
    fn answer(&mut self, frame: &Frame<RequestKind>, connection: &mut Option<u64>) -> Vec<u8> {
        match frame.kind {
            RequestKind::READ_SALT => return self.salt.clone(),
            RequestKind::LOGIN => return self.login.clone(),
            _ => self.asked.push(frame.clone()),
        }
        if let Some(request) = self.request.take_if(|request| request.kind == frame.kind) {
            self.served = Some(request.clone());
            if !request.kind.name().is_some_and(|name| name.starts_with("READ_")) && self.worlds.len() > 1 {
                self.worlds.pop_front();
                *connection = None;
            }
            return self.reply.clone();
        }
        let Some(world) = self.worlds.front_mut() else { return Vec::new() };
        let number = *connection.get_or_insert_with(|| log_in(world));
        reply(world, number, frame)
    }
}

fn log_in(world: &mut World) -> u64 {
    let number = world.connect(Duration::ZERO);
    let salt = reply(world, number, &Frame::new(RequestKind::READ_SALT, &b""[..]));
    let salt = Salt::decode(&frames(&salt)[0]).unwrap();
    let credentials = Credentials::new(World::USER, World::PASSWORD.as_bytes()).unwrap();
    reply(world, number, &credentials.login(salt));
    number
}

fn reply(world: &mut World, connection: u64, frame: &Frame<RequestKind>) -> Vec<u8> {
    match world.request(Duration::ZERO, connection, frame) {
        Answer::Now(reply) => reply.frames.iter().flat_map(|frame| frame.to_bytes()).collect(),
        Answer::Later(_) => Vec::new(),
    }
}

/// Serves until the client says goodbye or has gone, or was refused for good.
fn serve(mut stream: impl Read + Write + Send + 'static, state: &Arc<Mutex<State>>) {
    let state = Arc::clone(state);
    thread::spawn(move || -> io::Result<()> {
        let mut buffer = BytesMut::new();
        let mut decoder = FrameDecoder::<RequestKind>::new();
        let mut connection = None;
        let mut bytes = [0; 4096];
        loop {
            while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
                if frame.kind == RequestKind::DISCONNECT {
                    return Ok(());
                }
                let answer = state.lock().unwrap().answer(&frame, &mut connection);
                stream.write_all(&answer)?;
                let ends = |frame: &Frame<ReplyKind>| {
                    frame.kind == ReplyKind::ERROR && frame.body.windows(6).any(|text| text == b"SFATAL")
                };
                if frames(&answer).iter().any(ends) {
                    return Ok(());
                }
            }
            let read = stream.read(&mut bytes)?;
            if read == 0 {
                return Ok(());
            }
            buffer.extend_from_slice(&bytes[..read]);
        }
    });
}

/// Cuts bytes behind the first frame of each kind; the rest is the last part.
fn split(bytes: &[u8], kinds: &[ReplyKind]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut kinds = kinds.iter();
    let mut until = kinds.next();
    for frame in frames::<ReplyKind>(bytes) {
        parts.last_mut().unwrap().extend(frame.to_bytes());
        if Some(&frame.kind) == until {
            until = kinds.next();
            parts.push(Vec::new());
        }
    }
    parts
}

fn frames<K: Kind>(bytes: &[u8]) -> Vec<Frame<K>> {
    let mut buffer = BytesMut::from(bytes);
    let mut decoder = FrameDecoder::<K>::new();
    std::iter::from_fn(|| decoder.decode(&mut buffer).ok().flatten()).collect()
}

/// A node as it was recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeState {
    status: NodeStatus,
    quarantine: bool,
    pub(crate) is_primary: bool,
}

impl NodeState {
    /// Returns what is taken where nothing was recorded.
    pub(crate) fn three() -> Vec<Self> {
        let up = Self { status: NodeStatus::Up, quarantine: false, is_primary: false };
        vec![Self { is_primary: true, ..up }, up, up]
    }

    pub(crate) fn is_up(self) -> bool {
        self.status.is_attached()
    }

    pub(crate) fn is_down(self) -> bool {
        self.status == NodeStatus::Down && !self.quarantine
    }
}

/// Makes a world that shows the nodes as they were recorded.
fn world(capture: &Capture, nodes: Option<&str>) -> World {
    let mut world = World::new(age(&capture.version));
    let mode = if capture.case.starts_with("mode_") { Mode::Raw } else { Mode::Streaming };
    let nodes = nodes.and_then(nodes_of).unwrap_or_else(NodeState::three);
    let primary = nodes.iter().position(|node| node.is_primary);
    for (id, state) in nodes.into_iter().enumerate() {
        world = world.node_with(&format!("10.0.0.{}", id + 1), 5432, |node| {
            (node.status, node.quarantine) = (state.status, state.quarantine);
        });
    }
    world.set_primary(primary);
    world.configure(|settings| settings.mode = mode)
}

/// Reads `0=up/primary 1=down/standby`, or the strings of node info, `0=2 715827882.3 2, 1=3 715827882.3 3`. `None` where no
/// nodes could be seen.
pub(crate) fn nodes_of(text: &str) -> Option<Vec<NodeState>> {
    if text.contains('/') {
        let nodes = text.split(' ').map(|node| {
            let (status, role) = node.split_once('=')?.1.split_once('/')?;
            let quarantine = status == "quarantine";
            Some(NodeState {
                status: NodeStatus::from_word(&status.into())?,
                quarantine,
                is_primary: role == "primary",
            })
        });
        return nodes.collect();
    }
    let nodes = text.split(", ").map(|node| {
        let mut words = node.split_once('=')?.1.split(' ');
        let status = NodeStatus::from_code(words.next()?.parse().ok()?);
        let role = words.skip_while(|word| !word.contains('.')).nth(1).and_then(|role| role.parse().ok());
        let is_primary = role.map(NodeRole::from_code) == Some(NodeRole::Primary);
        Some(NodeState { status, quarantine: false, is_primary })
    });
    nodes.collect()
}

fn age(version: &str) -> Age {
    match version {
        "3.5.0" => Age::V3_5,
        "3.7.0" => Age::V3_7,
        "4.0.25" => Age::V4_0_18,
        "4.1.0" | "4.1.4" => Age::V4_1,
        "4.2.0" => Age::V4_2,
        "4.3.0" => Age::V4_3_0,
        "4.3.5" => Age::V4_3_1,
        "4.5.12" => Age::V4_5,
        "4.7.3" => Age::V4_7,
        _ => panic!("{version} has no age"),
    }
}
