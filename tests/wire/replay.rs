//! A session that is fed what a server once sent.

use bytes::BytesMut;
use pcp_proto::message::Outgoing;
use pcp_proto::{
    Credentials, CredentialsError, Event, Frame, FrameDecoder, Kind, Release, ReplyKind, RequestKind, Requirement,
    Salt, ServerAge, ServerMessage, Session, Ticket,
};
use pcp_tests::captures::{Capture, Side};

use crate::argv::is_session;
use crate::messages::{self, Message};
use crate::text;

/// What a server said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Salt(Frame<ReplyKind>),
    LoggedIn,
    /// A whole reply, or as much as came of it, to the request with this number.
    Reply {
        request: usize,
        frames: Vec<Frame<ReplyKind>>,
        is_whole: bool,
        to: Frame<RequestKind>,
    },
    /// A refusal of the request with this number, or of the login.
    Refused(Option<usize>, ServerMessage),
    Notice(ServerMessage),
}

/// Cut bytes into frames; all of them must be whole.
pub(crate) fn frames<K: Kind>(bytes: &[u8]) -> Result<Vec<Frame<K>>, String> {
    let mut buffer = BytesMut::from(bytes);
    let mut decoder = FrameDecoder::new();
    let mut frames = Vec::new();
    while let Some(frame) = decoder.decode(&mut buffer).map_err(text)? {
        frames.push(frame);
    }
    match decoder.held() {
        0 => Ok(frames),
        held => Err(format!("{held} bytes of a frame")),
    }
}

/// Feed a session and return what the server's bytes mean. What the recorded client sent is queued at once.
pub(crate) fn replay(capture: &Capture, chunks: Vec<Vec<u8>>) -> Result<Vec<Answer>, String> {
    if capture.exchange.is_empty() {
        return Err("nothing was recorded".to_owned());
    }
    // Who logs in makes no difference to what is read.
    let mut session = Session::new(Credentials::new("anyone", b"").map_err(text)?);
    let requests = recorded_requests(capture)?;
    let tickets: Vec<_> = requests.iter().map(|frame| session.request(outgoing(frame))).collect();
    session.goodbye();
    let mut answers = Vec::new();
    // The session takes the salt for itself.
    let salt = frames::<ReplyKind>(&capture.bytes(Side::Server))?.into_iter().find(|it| it.kind == ReplyKind::SALT);
    answers.extend(salt.map(Answer::Salt));
    for chunk in chunks {
        session.input().extend_from_slice(&chunk);
        while let Some(event) = session.poll().map_err(text)? {
            receive(event, &tickets, &requests, &mut answers);
            let written = session.output().len();
            session.advance_output(written);
        }
    }
    Ok(answers)
}

fn receive(event: Event, tickets: &[Ticket], requests: &[Frame<RequestKind>], answers: &mut Vec<Answer>) {
    let number = |ticket| tickets.iter().position(|&it| it == ticket).unwrap();
    match event {
        Event::LoggedIn => answers.push(Answer::LoggedIn),
        Event::Notice(message) => answers.push(Answer::Notice(message)),
        Event::Refused { ticket, message } => answers.push(Answer::Refused(ticket.map(number), message)),
        Event::Reply { ticket, frame, last } => {
            let number = number(ticket);
            // A notice may come between the frames of a reply.
            let begun = answers.iter_mut().find_map(|answer| match answer {
                Answer::Reply { request, frames, is_whole, .. } if *request == number => Some((frames, is_whole)),
                _ => None,
            });
            match begun {
                Some((frames, is_whole)) => {
                    frames.push(frame);
                    *is_whole = last;
                }
                None => answers.push(Answer::Reply {
                    request: number,
                    frames: vec![frame],
                    is_whole: last,
                    to: requests[number].clone(),
                }),
            }
        }
    }
}

/// Go through the exchange as it was recorded, and return what our session sends: the request when the login was
/// accepted and the goodbye when it was answered, as the tools do, or everything at once where the recorded client
/// did so.
pub(crate) fn sent(capture: &Capture, requests: Vec<Message>) -> Result<Vec<Frame<RequestKind>>, String> {
    let password = capture.password.as_deref().ok_or("the password is not known")?;
    let user = capture.user.clone().ok_or("the user is not known")?;
    let credentials = match Credentials::new(user, password.as_bytes()) {
        Err(CredentialsError::UserTooLong { .. }) => return Ok(Vec::new()),
        credentials => credentials.map_err(text)?,
    };
    let mut session = Session::new(credentials);
    let recorded = frames::<RequestKind>(&capture.bytes(Side::Client))?;
    if !recorded.iter().any(|frame| frame.kind == RequestKind::READ_SALT) {
        return Err("the client does not ask for a salt".to_owned());
    }
    let says_goodbye = recorded.last().is_some_and(|frame| frame.kind == RequestKind::DISCONNECT);
    let is_tool = !capture.argv.is_empty();
    let mut unsent = requests.into_iter();
    if !is_tool {
        unsent.by_ref().for_each(|message| {
            session.request(message.outgoing);
        });
        if says_goodbye {
            session.goodbye();
        }
    }
    let mut output = Vec::new();
    for step in capture.exchange.iter().filter(|step| step.from == Side::Server) {
        take(&mut session, &mut output);
        session.input().extend_from_slice(&step.bytes);
        while let Some(event) = session.poll().map_err(text)? {
            match event {
                Event::LoggedIn => unsent.by_ref().for_each(|message| {
                    session.request(message.outgoing);
                }),
                Event::Reply { last: true, .. } | Event::Refused { ticket: Some(_), .. } if is_tool => {
                    session.goodbye()
                }
                _ => {}
            }
        }
    }
    take(&mut session, &mut output);
    frames(&output)
}

fn take(session: &mut Session, output: &mut Vec<u8>) {
    output.extend_from_slice(session.output());
    session.advance_output(session.output().len());
}

/// What the recorded client asked, without the login and the goodbye.
fn recorded_requests(capture: &Capture) -> Result<Vec<Frame<RequestKind>>, String> {
    let frames = frames::<RequestKind>(&capture.bytes(Side::Client))?;
    Ok(frames.into_iter().filter(|frame| !is_session(frame.kind)).collect())
}

/// What the recorded client asked, as our session takes it.
pub(crate) fn recorded(capture: &Capture) -> Result<Vec<Outgoing>, String> {
    Ok(recorded_requests(capture)?.iter().map(outgoing).collect())
}

/// A recorded request as the session takes it, whether it is one of our messages or not.
fn outgoing(frame: &Frame<RequestKind>) -> Outgoing {
    Outgoing {
        frame: frame.clone(),
        reply: messages::reply(frame.kind).map_or(ReplyKind(0), |(kind, _)| kind),
        requirement: Requirement { what: "a recorded request", since: Release::OLDEST },
    }
}

/// Pair each request that was answered with its answer.
pub(crate) fn requests_and_answers<'a>(
    capture: &Capture,
    answers: &'a [Answer],
) -> Vec<(Frame<RequestKind>, &'a Answer)> {
    let requests = recorded_requests(capture).unwrap();
    let pair = |answer: &'a Answer| match answer {
        Answer::Reply { request, .. } | Answer::Refused(Some(request), _) => {
            Some((requests[*request].clone(), answer))
        }
        _ => None,
    };
    answers.iter().filter_map(pair).collect()
}

/// Write the answers as the captures do: one word for the login and one for each request, up to a fatal error.
pub(crate) fn outcome(capture: &Capture, answers: &[Answer]) -> Result<String, String> {
    let requests = recorded_requests(capture)?.len();
    let mut words = Vec::new();
    let mut answered = 0;
    for answer in answers {
        match answer {
            Answer::Salt(_) | Answer::Notice(_) => {}
            Answer::LoggedIn => words.push("r".to_owned()),
            Answer::Reply { frames, is_whole: true, .. } => {
                words.push(frames[0].kind.to_string());
                answered += 1;
            }
            Answer::Reply { .. } => {}
            Answer::Refused(request, message) => {
                words.push(format!("E:{}", message.severity));
                answered += usize::from(request.is_some());
                if message.is_fatal() {
                    return Ok(words.join(" "));
                }
            }
        }
    }
    words.extend((answered..requests).map(|_| "-".to_owned()));
    Ok(words.join(" "))
}

impl Answer {
    /// Whether nothing of it is missing.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Reply { is_whole, .. } => *is_whole,
            Self::Refused(..) | Self::Notice(_) => true,
            Self::Salt(_) | Self::LoggedIn => false,
        }
    }

    /// Read it by its own message and write it again.
    pub(crate) fn encode(&self) -> Result<Vec<Frame<ReplyKind>>, String> {
        match self {
            Self::Salt(frame) => Ok(vec![Salt::decode(frame).map_err(text)?.encode()]),
            Self::LoggedIn => Ok(vec![Frame::new(ReplyKind::LOGIN, &b"AuthenticationOK\0"[..])]),
            Self::Refused(_, message) => Ok(vec![message.encode(ReplyKind::ERROR)]),
            Self::Notice(message) => Ok(vec![message.encode(ReplyKind::NOTICE)]),
            Self::Reply { frames, to, .. } => {
                let (_, read) = messages::reply(to.kind).ok_or_else(|| format!("a reply to '{}'", to.kind))?;
                let read = read(frames).map_err(text)?;
                if read.rows[0] != read.rows[1] {
                    return Err(format!("{} rows one by one, {} as a whole", read.rows[0], read.rows[1]));
                }
                Ok(read.again)
            }
        }
    }

    /// What it tells of the server's age.
    pub(crate) fn age(&self) -> Option<ServerAge> {
        match self {
            Self::Reply { frames, to, is_whole: true, .. } => messages::reply(to.kind)?.1(frames).ok()?.age,
            _ => None,
        }
    }
}
