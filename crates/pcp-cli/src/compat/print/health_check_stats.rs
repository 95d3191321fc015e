//! `pcp_health_check_stats`.

use pcp_proto::Text;
use pcp_proto::message::HealthCheckStats;

use super::Detail;
use super::row::{Style, shown, write};
use crate::compat::form::Form;

/// Prints the statistics of a node.
pub(in crate::compat) fn health_check_stats(stats: &HealthCheckStats, form: Form, detail: Detail) -> Vec<u8> {
    let text = |text: &Text| text.as_bytes().to_vec();
    let row = [
        ("Node Id", shown(stats.node_id)),
        ("Host Name", text(&stats.hostname)),
        ("Port", shown(stats.port)),
        ("Status", text(&stats.status)),
        ("Role", text(&stats.role)),
        ("Last Status Change", text(&stats.last_status_change)),
        ("Total Count", shown(stats.total_count)),
        ("Success Count", shown(stats.success_count)),
        ("Fail Count", shown(stats.fail_count)),
        ("Skip Count", shown(stats.skip_count)),
        ("Retry Count", shown(stats.retry_count)),
        ("Average Retry Count", average(stats.average_retry_count)),
        ("Max Retry Count", shown(stats.max_retry_count)),
        ("Max Health Check Duration", shown(stats.max_duration)),
        ("Minimum Health Check Duration", shown(stats.min_duration)),
        ("Average Health Check Duration", average(stats.average_duration)),
        ("Last Health Check", text(&stats.last_health_check)),
        ("Last Successful Health Check", text(&stats.last_successful_health_check)),
        ("Last Skip Health Check", text(&stats.last_skip_health_check)),
        ("Last Failed Health Check", text(&stats.last_failed_health_check)),
    ];
    let mut out = Vec::new();
    write(&mut out, &row, detail, Style::of(form));
    out
}

/// Shows an average as C does: before the first check it is zero by zero, of either sign.
fn average(value: f64) -> Vec<u8> {
    match (value.is_nan(), value.is_sign_negative()) {
        (true, true) => b"-nan".to_vec(),
        (true, false) => b"nan".to_vec(),
        (false, _) => shown(format_args!("{value:.6}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_read_as_c_writes_them() {
        for text in ["-nan", "nan", "0.000000", "1.500000", "-0.000000"] {
            assert_eq!(average(text.parse().unwrap()), text.as_bytes());
        }
    }
}
