//! The words and codes that servers of every release send for the state of a node.

use pcp_proto::Text;
use pcp_proto::message::{NodeRole, NodeStatus};

#[test]
fn a_status_is_a_word_and_before_3_7_a_code() {
    for (word, code, status) in [
        ("unused", 0, NodeStatus::Unused),
        ("waiting", 1, NodeStatus::Waiting),
        ("up", 2, NodeStatus::Up),
        ("down", 3, NodeStatus::Down),
        ("77", 77, NodeStatus::Other(77)),
    ] {
        assert_eq!(NodeStatus::from_word(&Text::from(word)), Some(status));
        assert_eq!(NodeStatus::from_word(&Text::from(code.to_string())), Some(status));
        assert_eq!((NodeStatus::from_code(code), status.code()), (status, code));
        assert_eq!(status.to_string(), word);
        assert_eq!(status.is_attached(), ["waiting", "up"].contains(&word), "{word}");
    }
    assert_eq!(NodeStatus::from_word(&Text::from("quarantine")), Some(NodeStatus::Down));
    assert_eq!(NodeStatus::from_word(&Text::from("odd")), None);
}

#[test]
fn a_role_is_a_word_or_a_code_and_some_words_changed_with_4_2() {
    for (word, before, code, role) in [
        ("main", "master", 0, NodeRole::Main),
        ("replica", "slave", 1, NodeRole::Replica),
        ("primary", "primary", 2, NodeRole::Primary),
        ("standby", "standby", 3, NodeRole::Standby),
    ] {
        for word in [word, before] {
            assert_eq!(NodeRole::from_word(&Text::from(word)), Some(role), "{word}");
        }
        assert_eq!((NodeRole::from_code(code), role.code()), (role, code));
        assert_eq!(role.to_string(), word);
    }
    let other = NodeRole::from_code(77);
    assert_eq!((other, other.code(), other.to_string().as_str()), (NodeRole::Other(77), 77, "77"));
    assert_eq!(NodeRole::from_word(&Text::from("odd")), None);
}
