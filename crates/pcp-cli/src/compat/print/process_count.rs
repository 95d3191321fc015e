//! `pcp_proc_count`.

use std::fmt::Write;

use pcp_proto::message::ProcessCount;

use super::Detail;

/// Prints the process ids, the same in every form.
pub(in crate::compat) fn process_count(count: &ProcessCount, detail: Detail) -> Vec<u8> {
    let mut text = String::new();
    // Infallible: it is a String.
    let _written = match detail {
        Detail::Brief => {
            text.extend(count.pids.iter().map(|pid| format!("{pid} ")));
            writeln!(text)
        }
        Detail::Verbose => {
            text.push_str("No \t | \t PID\n_____________________\n");
            text.extend(count.pids.iter().enumerate().map(|(number, pid)| format!("{number} \t | \t {pid}\n")));
            writeln!(text, "\nTotal Processes:{}", count.pids.len())
        }
    };
    text.into_bytes()
}
