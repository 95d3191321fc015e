//! The replies to one batch.

use pcp_proto::{Frame, ReplyKind, Ticket};

use crate::{Error, ErrorKind};

/// The most bytes of one reply that are kept, with what keeping them costs.
const MAX_REPLY_BYTES: usize = 64 << 20;

/// The replies to one batch, in the order of its requests, which is the order in which they come.
#[derive(Default)]
pub(super) struct Replies {
    slots: Vec<Slot>,
    /// How many slots at the front need no further look.
    settled: usize,
    taken: usize,
}

#[derive(Default)]
struct Slot {
    /// `None` where the request was not sent.
    ticket: Option<Ticket>,
    frames: Vec<Frame<ReplyKind>>,
    bytes: usize,
    result: Option<Result<(), Error>>,
}

impl Replies {
    /// Makes room for the reply to a request.
    pub(super) fn expect(&mut self, ticket: Ticket) {
        self.slots.push(Slot { ticket: Some(ticket), ..Slot::default() });
    }

    /// Notes the answer to a request that was not sent.
    pub(super) fn refuse(&mut self, error: Error) {
        self.slots.push(Slot { result: Some(Err(error)), ..Slot::default() });
    }

    pub(super) fn is_incomplete(&mut self) -> bool {
        while self.slots.get(self.settled).is_some_and(|slot| slot.result.is_some()) {
            self.settled += 1;
        }
        self.settled < self.slots.len()
    }

    /// Takes a frame; those of requests that nobody waits for any more are dropped.
    pub(super) fn add(&mut self, ticket: Ticket, frame: Frame<ReplyKind>, last: bool) -> Result<(), Error> {
        let Some(slot) = self.open(ticket) else { return Ok(()) };
        // Small frames cost more to keep than to send.
        slot.bytes += size_of_val(&frame) + frame.encoded_len();
        if slot.bytes > MAX_REPLY_BYTES {
            return Err(Error::new(ErrorKind::Protocol, "the server's reply is larger than 64 MiB"));
        }
        slot.frames.push(frame);
        if last {
            slot.result = Some(Ok(()));
        }
        Ok(())
    }

    pub(super) fn settle(&mut self, ticket: Ticket, result: Result<(), Error>) {
        if let Some(slot) = self.open(ticket) {
            slot.result = Some(result);
        }
    }

    pub(super) fn unanswered(&self) -> Vec<Ticket> {
        self.slots.iter().filter(|slot| slot.result.is_none()).filter_map(|slot| slot.ticket).collect()
    }

    /// Takes the reply to the first request that is left.
    pub(super) fn take(&mut self) -> Result<Vec<Frame<ReplyKind>>, Error> {
        let never = || Error::new(ErrorKind::NotExecuted, "not executed");
        let slot = self.slots.get_mut(self.taken).map(std::mem::take).ok_or_else(never)?;
        self.taken += 1;
        slot.result.unwrap_or_else(|| Err(never())).map(|()| slot.frames)
    }

    fn open(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        let waiting = self.slots.iter_mut().skip(self.settled).filter(|slot| slot.result.is_none());
        waiting.into_iter().find(|slot| slot.ticket == Some(ticket))
    }
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::{Batch, ReadNodeCount, Request};
    use pcp_proto::{Credentials, Session};

    use super::*;

    #[test]
    fn a_reply_of_empty_frames_is_capped_by_what_it_takes_to_keep_them() {
        let mut session = Session::new(Credentials::new("pcpadmin", b"secret").unwrap());
        let ticket = session.request(Batch::encode(&ReadNodeCount).remove(0));
        let mut replies = Replies::default();
        replies.expect(ticket);
        let frame = Frame::new(ReadNodeCount::REPLY, &b""[..]);
        let kept = (0..).take_while(|_| replies.add(ticket, frame.clone(), false).is_ok()).count();
        assert!(kept > 1_000_000 && kept * size_of_val(&frame) <= MAX_REPLY_BYTES, "{kept} frames");
    }
}
