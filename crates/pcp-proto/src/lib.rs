//! The PCP wire protocol of Pgpool-II as pure values: bytes in, messages out.
//!
//! PCP is the administration protocol that Pgpool-II serves on port 9898. It has no published
//! specification; what this crate knows was read off servers from 3.5.0 to 4.7.3. There is no I/O here, no clock
//! and no async runtime: `pcp-client` puts those around it.
//!
//! * [`Frame`] and [`FrameDecoder`] cut the byte stream; a length is checked against a cap before anything is
//!   reserved for it.
//! * [`message`] holds one file per request with its reply, and a table of them all. Both directions are coded, so the
//!   same code serves a client, a stand-in server and the tests that compare both with recorded traffic.
//! * [`Session`] is a connection without the connection: the login, the queue of requests that await a reply, notices
//!   and errors.
//! * [`ServerAge`] is what replies tell of the server's release, and refuses what it is too old for before it is sent.
//!
//! What a server did not send is `None`; codes that nobody knows yet are kept; a layout that nobody knows
//! is an error that names its number of fields. No input can cause a panic.
//!
//! # Examples
//!
//! Read a reply:
//!
//! ```
//! use bytes::BytesMut;
//! use pcp_proto::message::{ReadNodeInfo, Reply, NodeInfos, Request};
//! use pcp_proto::{FrameDecoder, NodeId, ReplyKind};
//!
//! // What a 3.7.0 server answers to "node info, 1".
//! let mut bytes = BytesMut::from(&b"i\0\0\0\x3aCommandComplete\x00127.0.0.12\x0014311\x001\x00715827882.333333\x003\x00"[..]);
//! let mut decoder = FrameDecoder::<ReplyKind>::new();
//! let frame = decoder.decode(&mut bytes)?.expect("the frame is whole");
//! let NodeInfos { nodes, .. } = NodeInfos::decode(&[frame])?;
//! assert_eq!(nodes[0].host, "127.0.0.12");
//! assert!(nodes[0].status.is_attached());
//!
//! assert_eq!(ReadNodeInfo::Node(NodeId::try_from(1)?).encode().to_bytes(), &b"I\0\0\0\x061\0"[..]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Speak with a server over anything that carries bytes; a session is told what came and says what to send:
//!
//! ```
//! use pcp_proto::message::{Batch, NodeCount, ReadNodeCount, Reply};
//! use pcp_proto::{Credentials, Event, Session};
//!
//! let mut session = Session::new(Credentials::new("pcpadmin", b"secret")?);
//! let tickets: Vec<_> = Batch::encode(&ReadNodeCount).into_iter().map(|one| session.request(one)).collect();
//! assert_eq!(session.output(), b"M\0\0\0\x04");   // asks for the salt
//! session.advance_output(5);
//!
//! session.input().extend_from_slice(b"m\0\0\0\x08\xf0\x86@Q");   // the salt
//! assert_eq!(session.poll()?, None);
//! let sent = session.output().len();   // the login, and behind it the request
//! session.advance_output(sent);
//!
//! session.input().extend_from_slice(b"r\0\0\0\x15AuthenticationOK\0l\0\0\0\x16CommandComplete\x003\0");
//! assert_eq!(session.poll()?, Some(Event::LoggedIn));
//! let Some(Event::Reply { ticket: answered, frame, last: true }) = session.poll()? else { panic!("no reply") };
//! assert_eq!((answered, NodeCount::decode(&[frame])?), (tickets[0], NodeCount(3)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::arithmetic_side_effects, reason = "what a peer sends must not overflow anything")]

mod age;
mod auth;
mod error;
mod fields;
mod frame;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod kind;
pub mod message;
mod node_id;
mod server_message;
mod session;
mod text;

pub use age::{Release, Requirement, ServerAge, TooOld};
pub use auth::{Credentials, CredentialsError, Digest, PasswordHash, Salt};
pub use error::{DecodeError, FrameError};
pub use fields::Fields;
pub use frame::{Frame, FrameDecoder, Kind, MAX_REPLY, MAX_REQUEST};
pub use kind::{ReplyKind, RequestKind};
pub use node_id::{NodeId, NodeIdError};
pub use server_message::{ServerMessage, Severity};
pub use session::{Event, Session, SessionError, Ticket};
pub use text::Text;
