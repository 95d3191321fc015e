use bytes::Bytes;

use crate::{ReplyKind, ServerMessage, Text};

/// The most bytes of a field that servers send.
const MAX_FIELD: usize = 254;

/// Checks errors and notices: whatever is read can be shown, and a server's own message reads back.
pub fn server_message(data: &[u8]) {
    let Ok(message) = ServerMessage::decode(&Bytes::copy_from_slice(data)) else {
        let has_field =
            data.first().is_some_and(|&letter| letter != 0) && data.get(1..).is_some_and(|rest| rest.contains(&0));
        assert!(!has_field, "a field was there and not read");
        return;
    };
    let _shown = (message.to_string(), message.level());
    let cut = as_cut(&message);
    if !is_ambiguous(&message) {
        let sent = message.encode(ReplyKind::ERROR);
        assert_eq!(ServerMessage::decode(&sent.body), Ok(cut));
    }
}

/// Returns the message as it arrives: servers cut long fields.
fn as_cut(message: &ServerMessage) -> ServerMessage {
    let cut = |text: &Text| {
        Text::new(Bytes::copy_from_slice(text.as_bytes().get(..MAX_FIELD).unwrap_or(text.as_bytes())))
    };
    ServerMessage {
        severity: cut(&message.severity),
        code: cut(&message.code),
        message: cut(&message.message),
        detail: message.detail.as_ref().map(cut),
        hint: message.hint.as_ref().map(cut),
        file: message.file.as_ref().map(cut),
        line: message.line.as_ref().map(cut),
    }
}

/// Tells whether a field of exactly the greatest length is followed by one whose text begins with a field's letter:
/// then nobody can tell whether the field was cut.
fn is_ambiguous(message: &ServerMessage) -> bool {
    let fields: Vec<_> = [
        Some(&message.severity),
        Some(&message.code),
        Some(&message.message),
        message.detail.as_ref(),
        message.hint.as_ref(),
        message.file.as_ref(),
        message.line.as_ref(),
    ]
    .into_iter()
    .flatten()
    .collect();
    fields.windows(2).any(|pair| match pair {
        [field, next] => {
            let begins_with_letter = next.as_bytes().first().is_some_and(|first| b"SCMDHFL".contains(first));
            field.as_bytes().len() == MAX_FIELD && begins_with_letter
        }
        _ => false,
    })
}
