//! Ranges as Nagios plugins take them.

use std::fmt;
use std::str::FromStr;

/// Values that are well, or with `@` those that are not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Range {
    from: f64,
    to: f64,
    alert: Alert,
    /// As it was typed, for performance data.
    text: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Alert {
    Outside,
    Inside,
}

impl Range {
    /// Makes a range from 0 up to and with `to`.
    pub(super) fn up_to(to: u64) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a threshold is a small number")]
        let limit = to as f64;
        Self { from: 0.0, to: limit, alert: Alert::Outside, text: to.to_string() }
    }

    /// Tells whether a value is worth an alert.
    pub(super) fn alerts(&self, value: f64) -> bool {
        let inside = (self.from..=self.to).contains(&value);
        inside == (self.alert == Alert::Inside)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Range {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const BAD: &str = "a range is 10, 10:, ~:10, 10:20 or @10:20";
        let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or(BAD);
        let (alert, range) = match text.strip_prefix('@') {
            Some(range) => (Alert::Inside, range),
            None => (Alert::Outside, text),
        };
        let (from, to) = match range.split_once(':') {
            None => (0.0, number(range)?),
            Some((from, to)) => (
                if from == "~" { f64::NEG_INFINITY } else { number(from)? },
                if to.is_empty() { f64::INFINITY } else { number(to)? },
            ),
        };
        if from > to {
            return Err("a range does not begin behind its end");
        }
        Ok(Self { from, to, alert, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_alert_as_those_of_nagios_do() {
        for (range, well, alerts) in [
            ("10", &[0.0, 10.0][..], &[-1.0, 10.1][..]),
            ("10:", &[10.0, 1e9], &[9.9, -1.0]),
            ("~:10", &[-1e9, 10.0], &[10.1]),
            ("10:20", &[10.0, 20.0], &[9.0, 21.0]),
            ("@10:20", &[9.0, 21.0], &[10.0, 20.0]),
            ("~:", &[-1e9, 1e9], &[]),
            ("-5:-1.5", &[-2.0], &[-1.0]),
        ] {
            let parsed: Range = range.parse().unwrap();
            assert_eq!(parsed.to_string(), range);
            assert!(well.iter().all(|&value| !parsed.alerts(value)), "{range}");
            assert!(alerts.iter().all(|&value| parsed.alerts(value)), "{range}");
        }
        assert!(Range::up_to(0).alerts(1.0) && !Range::up_to(0).alerts(0.0));
        for bad in ["", ":", "a", "1:b", "20:10", "10:~", "@", "NaN", "inf", "1:2:3"] {
            assert!(bad.parse::<Range>().is_err(), "{bad:?}");
        }
    }
}
