//! One connection.

mod io;
mod limits;
mod notices;
mod replies;
mod rows;

use std::time::Duration;

use pcp_proto::message::{self, Batch, Outgoing, PoolStatus, Query, QueryBatch, ReadNodeCount, Reply as _};
use pcp_proto::{
    Credentials, Event, Frame, ReplyKind, RequestKind, ServerAge, ServerMessage, Session, Ticket, TooOld,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::debug;

pub use self::limits::Limits;
use self::notices::Notices;
pub use self::notices::WithNotices;
use self::replies::Replies;
pub use self::rows::Rows;
use crate::{Connect, Deadline, Error, ErrorKind};

/// One connection to a Pgpool over any stream.
///
/// Nothing is sent before the first request: login and first batch then share a write. There is no background task;
/// bytes move while one of the methods is awaited.
///
/// Connections should be short. Pgpool before 4.5 replaces its PCP process about a second after every change and first waits
/// for **all** connections to close: until then it accepts no login and carries out no further change. That is why
/// [`finish`](Self::finish), the only way to send a change, takes the client with it.
///
/// # Servers of any age
///
/// Each request's own documentation tells since which Pgpool it is known, what its success does not promise and what is
/// refused. A Pgpool drops the connection at a request that it is too old to know. A client that knows the
/// [age](Self::server_age) of its server does not send them: they fail with [`ErrorKind::Unsupported`], which names the release
/// that is needed, and the connection goes on. It knows the age once it has read a pool status, or when it was
/// [told](Self::assume_server_age). A client that does not know sends everything.
///
/// # Cancel safety
///
/// A future of [`send`](Self::send), and of [`Rows::next`], may be dropped at any point. Requests of which no byte
/// was written are taken back, and the replies to the others are read and thrown away before the next request's
/// reply: no reply is ever taken for another one's.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use pcp_client::{Client, Connector, Deadline, Endpoint};
/// use pcp_proto::Credentials;
/// use pcp_proto::message::{ReadNodeCount, ReadPoolStatus};
///
/// let deadline = Deadline::after(Duration::from_secs(8));
/// let connector = Connector {
///     endpoint: Endpoint::parse("pgpool1", 9898)?,
///     connect_timeout: Duration::from_secs(3),
/// };
/// let credentials = Credentials::new("pcpadmin", b"secret")?;
/// let mut client = Client::connect(&connector, &credentials, deadline).await?;
/// let (count, status) = client.send((ReadNodeCount, ReadPoolStatus)).await;
/// println!("{} nodes, {} parameters", count?.0, status?.parameters.len());
/// client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    session: Session,
    limits: Limits,
    started: Option<Instant>,
    /// Why nothing more can be asked.
    ended: Option<Error>,
    write_error: Option<std::io::Error>,
    notices: Vec<ServerMessage>,
    notices_asked: Notices,
    asked: Vec<RequestKind>,
    age: Option<ServerAge>,
}

/// What came for a request.
enum Arrived {
    Frame { ticket: Ticket, frame: Frame<ReplyKind>, last: bool },
    Refused { ticket: Ticket, error: Error, fatal: bool },
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Makes a connection, with the default limits. Cancel safe: nothing is sent before the first request.
    ///
    /// # Errors
    ///
    /// Those of [`Connect::connect`].
    pub async fn connect<C>(connect: &C, credentials: &Credentials, deadline: Deadline) -> Result<Self, Error>
    where
        C: Connect<Stream = S>,
    {
        let stream = connect.connect(deadline).await?;
        let mut client = Self::new(stream, credentials.clone(), Limits::new(deadline));
        if let Some(level) = connect.notices() {
            client.ask_for_notices(level);
        }
        Ok(client)
    }

    /// Takes a connection on which nothing was said yet.
    pub fn new(stream: S, credentials: Credentials, limits: Limits) -> Self {
        Self {
            stream,
            session: Session::new(credentials),
            limits,
            started: None,
            ended: None,
            write_error: None,
            notices: Vec::new(),
            notices_asked: Notices::default(),
            asked: Vec::new(),
            age: None,
        }
    }

    /// Ends by then whatever is asked from now on.
    pub(crate) fn end_by(&mut self, deadline: Deadline) {
        self.limits.deadline = deadline;
    }

    /// Asks queries in one write and returns their answers. Cancel safe.
    ///
    /// Answers come in the order of their questions, and few name what was asked: a server that leaves one out gives the next
    /// one of its kind for it, and the last question fails. Node info and health check statistics name the node's address.
    ///
    /// Every reply is held as a whole, up to 64 MiB of it; see [`rows`](Self::rows) for large ones.
    ///
    /// # Errors
    ///
    /// Each request has its own: a refusal of one, by the server or for its [age](Self::server_age), leaves the
    /// others as they are. The end of the connection is the error of every request without an answer, and of all
    /// that come later.
    pub async fn send<B: QueryBatch>(&mut self, batch: B) -> B::Output<Error> {
        self.run(&batch, self.limits.query, false).await
    }

    /// Asks one query and reads its reply row by row, so that it is never held as a whole. Cancel safe.
    ///
    /// Nothing is sent before the first [`next`](Rows::next). Dropping the rows half-way is cheap: what is left of
    /// the reply is thrown away as it comes, before the next request's reply. The age of the server is not read off
    /// a pool status that is read so.
    pub fn rows<R>(&mut self, query: R) -> Rows<'_, S, R::Reply>
    where
        R: Query,
        R::Reply: message::Rows,
    {
        Rows::new(self, query)
    }

    /// Sends a batch and the goodbye in one write, and closes the connection after the last reply.
    ///
    /// Success of a change means that Pgpool took the request, nothing more. Dropping the future closes the
    /// connection; Pgpool may still carry out what it had received.
    ///
    /// ```no_run
    /// # async fn example<S>(client: pcp_client::Client<S>) -> Result<(), pcp_client::Error>
    /// # where S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {
    /// use pcp_client::Refusal;
    /// use pcp_proto::message::{RotateLog, Scope};
    ///
    /// match client.finish(RotateLog { scope: Scope::Local }).await {
    ///     Err(error) if error.refusal() == Some(Refusal::LogCollectorOff) => println!("there are no log files"),
    ///     taken => drop(taken?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); [`Error::refusal`] tells the refusals of a change apart. Where
    /// [`Error::outcome_unknown`] is true, read the state before anything is repeated.
    pub async fn finish<B: Batch>(mut self, batch: B) -> B::Output<Error> {
        let output = self.run(&batch, self.limits.change, true).await;
        // Only where nothing was asked is the goodbye still there.
        self.flush().await;
        self.hear_last_words().await;
        output
    }

    /// Logs in and asks nothing. Cancel safe.
    ///
    /// Only needed to learn why a login fails where the connection is cut before the reason arrives: requests that
    /// the server has not read can do that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Authentication`] where the login is refused, and the end of the connection.
    pub async fn login(&mut self) -> Result<(), Error> {
        self.run(&Vec::<ReadNodeCount>::new(), self.limits.login, false).await;
        self.ended.clone().map_or(Ok(()), Err)
    }

    /// Says goodbye and closes the connection. Pgpool logs a connection that ends without it.
    pub async fn close(mut self) {
        if self.ended.is_none() && self.started.is_some() {
            self.session.withdraw_unsent();
            self.session.goodbye();
            self.flush().await;
            self.hear_last_words().await;
        }
    }

    /// Returns what is known of the server's age: what its last pool status told, or what was assumed. `None` where
    /// nothing is known, and then every request is sent.
    pub fn server_age(&self) -> Option<ServerAge> {
        self.age
    }

    /// Takes the server to be of this age, as another connection to it has shown, until a pool status tells.
    pub fn assume_server_age(&mut self, age: ServerAge) {
        self.age = Some(age);
    }

    /// Tells whether the server has accepted the login.
    pub fn is_logged_in(&self) -> bool {
        self.session.is_logged_in()
    }

    /// Returns what was asked on this connection, the login not counted.
    pub fn asked(&self) -> &[RequestKind] {
        &self.asked
    }

    async fn run<B: Batch>(&mut self, batch: &B, limit: Duration, goodbye: bool) -> B::Output<Error> {
        self.session.withdraw_unsent();
        let mut replies = Replies::default();
        for outgoing in batch.encode() {
            match self.ask(outgoing) {
                Ok(ticket) => replies.expect(ticket),
                Err(error) => replies.refuse(error),
            }
        }
        if goodbye {
            self.session.goodbye();
        }
        if let Err(error) = self.collect(&mut replies, limit).await {
            debug!(%error, "the connection ended");
            for ticket in replies.unanswered() {
                let sent = self.session.was_sent(ticket);
                replies.settle(ticket, Err(without_answer(&error, sent)));
            }
            self.ended.get_or_insert(error);
        }
        batch.decode(&mut || {
            let frames = replies.take()?;
            self.learn_age(&frames);
            Ok(frames)
        })
    }

    /// Queues a request, unless the server is known to be too old for it.
    fn ask(&mut self, outgoing: Outgoing) -> Result<Ticket, Error> {
        let requirement = outgoing.requirement;
        if let Some(age) = self.age.filter(|age| age.is_before(requirement.since)) {
            return Err(Error::unsupported(TooOld { requirement, age }));
        }
        self.queue_notices();
        self.asked.push(outgoing.frame.kind);
        Ok(self.session.request(outgoing))
    }

    /// Reads the server's age off its pool status.
    fn learn_age(&mut self, frames: &[Frame<ReplyKind>]) {
        if frames.first().is_some_and(|frame| frame.kind == ReplyKind::POOL_STATUS) {
            self.age = PoolStatus::decode(frames).ok().map(|status| ServerAge::of(&status)).or(self.age);
        }
    }

    /// Reads until every reply is there.
    async fn collect(&mut self, replies: &mut Replies, limit: Duration) -> Result<(), Error> {
        let mut heard = Instant::now();
        while self.ended.is_some() || replies.is_incomplete() || !self.session.is_logged_in() {
            match self.arrival(heard, limit).await? {
                Some(Arrived::Frame { ticket, frame, last }) => replies.add(ticket, frame, last)?,
                Some(Arrived::Refused { ticket, error, fatal }) => {
                    replies.settle(ticket, Err(error.clone()));
                    if fatal {
                        return Err(error);
                    }
                }
                None => {}
            }
            heard = Instant::now();
        }
        Ok(())
    }

    /// Waits for what comes next: something for a request, or something else.
    ///
    /// # Errors
    ///
    /// The connection is at its end, or was so before. A fatal refusal of a request is not among them.
    async fn arrival(&mut self, heard: Instant, limit: Duration) -> Result<Option<Arrived>, Error> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        let until = self.until(heard, limit);
        match self.event(until).await? {
            Event::LoggedIn => Ok(None),
            Event::Reply { ticket, frame, last } => {
                self.note_answer(ticket);
                Ok(Some(Arrived::Frame { ticket, frame, last }))
            }
            Event::Refused { ticket: Some(ticket), message } => {
                // A server that gives up the connection may have taken the request before.
                let fatal = message.is_fatal();
                let error = Error::refused(message).with_outcome_unknown(fatal);
                Ok(Some(Arrived::Refused { ticket, error, fatal }))
            }
            Event::Refused { ticket: None, message } if !self.session.is_logged_in() => {
                Err(Error::login_refused(message))
            }
            // Before the request was written: Pgpool gives up the connection.
            Event::Refused { ticket: None, message } => Err(Error::refused(message)),
            Event::Notice(notice) => {
                self.keep(notice);
                Ok(None)
            }
        }
    }
}

/// Returns the error of a request that was left without an answer when the connection ended with `error`.
fn without_answer(error: &Error, sent: bool) -> Error {
    let not_executed = |why| Error::because(ErrorKind::NotExecuted, why, error.clone());
    match error.kind() {
        // A server that gave up one request reads no further.
        ErrorKind::Refused => not_executed("not executed: Pgpool had closed the connection"),
        ErrorKind::Authentication => error.clone(),
        _ if sent => error.clone().with_outcome_unknown(true),
        _ => error.clone(),
    }
}
