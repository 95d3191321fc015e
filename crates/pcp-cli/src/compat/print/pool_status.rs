//! `pcp_pool_status`.

use pcp_proto::message::PoolStatus;

use super::Detail;

/// Prints the parameters, the same in every form.
pub(in crate::compat) fn pool_status(status: &PoolStatus, detail: Detail) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, parameter) in status.parameters.iter().enumerate() {
        let titles = match detail {
            Detail::Brief => ["name : ".to_owned(), "value: ".to_owned(), "desc : ".to_owned()],
            Detail::Verbose => {
                [format!("Name [{number:>3}]:\t"), "Value:      \t".to_owned(), "Description:\t".to_owned()]
            }
        };
        for (title, text) in titles.iter().zip([&parameter.name, &parameter.value, &parameter.description]) {
            out.extend(title.as_bytes());
            out.extend(text.as_bytes());
            out.push(b'\n');
        }
        out.push(b'\n');
    }
    out
}
