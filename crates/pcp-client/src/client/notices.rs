//! What a server tells beside its answers.

use std::time::Duration;

use pcp_proto::message::{Batch, MessageLevel, SetClientMinMessages};
use pcp_proto::{Event, ServerMessage, Ticket};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::debug;

use super::Client;
use crate::{Connect, Deadline, Error};

/// The most notices that are kept.
const MAX_NOTICES: usize = 64;

/// How long the last notices are waited for; a server closes the connection behind them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Connects as another does, and has every [`Client`] made with it [ask for notices](Client::ask_for_notices).
#[derive(Clone, Debug)]
pub struct WithNotices<C> {
    /// What makes the connections.
    pub connect: C,
    /// The least level that is wanted; `None` asks the server for nothing.
    pub level: Option<MessageLevel>,
}

impl<C: Connect> Connect for WithNotices<C> {
    type Stream = C::Stream;

    fn connect(&self, deadline: Deadline) -> impl Future<Output = Result<Self::Stream, Error>> {
        self.connect.connect(deadline)
    }

    fn notices(&self) -> Option<MessageLevel> {
        self.level
    }

    fn name(&self) -> String {
        self.connect.name()
    }
}

/// Whether the server was asked for notices.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Notices {
    /// It tells what it tells anyway.
    #[default]
    AsConfigured,
    /// It is to be asked with the next request.
    Wanted(MessageLevel),
    /// It is asked by this request.
    Asked(MessageLevel, Ticket),
    /// It has agreed.
    Set,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Has the server tell in notices, from this level up, what it does for the requests to come. Since 3.5.
    ///
    /// The request for it goes out before the next other one, in the same write. Every notice is logged, with its
    /// severity, as a [`tracing`] event of level `DEBUG`, and kept for [`take_notices`](Self::take_notices).
    /// [`finish`](Self::finish) and [`close`](Self::close) then wait up to a second for the last notices, which come
    /// behind the last reply.
    pub fn ask_for_notices(&mut self, level: MessageLevel) {
        self.notices_asked = Notices::Wanted(level);
    }

    /// Returns the notices that came so far, the last 64, and forgets them.
    pub fn take_notices(&mut self) -> Vec<ServerMessage> {
        std::mem::take(&mut self.notices)
    }

    /// Queues the request for notices, again where it was taken back before it was sent.
    pub(super) fn queue_notices(&mut self) {
        let level = match self.notices_asked {
            Notices::Wanted(level) => level,
            Notices::Asked(level, ticket) if !self.session.was_sent(ticket) => level,
            _ => return,
        };
        for outgoing in Batch::encode(&SetClientMinMessages { level }) {
            self.asked.push(outgoing.frame.kind);
            self.notices_asked = Notices::Asked(level, self.session.request(outgoing));
        }
    }

    /// Takes note that a request was answered.
    pub(super) fn note_answer(&mut self, answered: Ticket) {
        if matches!(self.notices_asked, Notices::Asked(_, ticket) if ticket == answered) {
            self.notices_asked = Notices::Set;
        }
    }

    /// Takes what comes until the server closes the connection, where there are notices in it. The goodbye is said.
    pub(super) async fn hear_last_words(&mut self) {
        if !matches!(self.notices_asked, Notices::Set) || self.ended.is_some() {
            return;
        }
        let until = self.limits.deadline.cut(LAST_WORDS);
        while let Ok(event) = self.event(until).await {
            if let Event::Notice(notice) = event {
                self.keep(notice);
            }
        }
    }

    pub(super) fn keep(&mut self, notice: ServerMessage) {
        debug!("Pgpool says: {notice}");
        if self.notices.len() == MAX_NOTICES {
            self.notices.remove(0);
        }
        self.notices.push(notice);
    }
}
