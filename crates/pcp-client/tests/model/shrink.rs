//! From a schedule that fails to a short one that fails for the same reason.

use std::time::Duration;

use pcp_client::sandbox::Age;

use super::schedule::{Event, Fate, Follow, Schedule};

/// Leaves out events and rounds times for as long as the schedule fails for the same reason.
pub(crate) fn shrink<T>(
    mut schedule: Schedule,
    run: impl Fn(&Schedule) -> Result<T, String>,
) -> (Schedule, String) {
    let mut why = run(&schedule).err().unwrap_or_else(|| "does not fail again".to_owned());
    while let Some((simpler, again)) = simpler(&schedule).into_iter().find_map(|simpler| {
        let again = run(&simpler).err().filter(|again| kind(again) == kind(&why))?;
        Some((simpler, again))
    }) {
        (schedule, why) = (simpler, again);
    }
    (schedule, why)
}

/// Returns what a reason begins with.
fn kind(why: &str) -> &str {
    why.split(':').next().unwrap_or_default()
}

/// Returns schedules that are simpler by one step.
fn simpler(schedule: &Schedule) -> Vec<Schedule> {
    let mut simpler = Vec::new();
    let mut add = |change: &dyn Fn(&mut Schedule)| {
        let mut changed = schedule.clone();
        change(&mut changed);
        changed.events.sort_by_key(|&(at, _)| at);
        if changed != *schedule {
            simpler.push(changed);
        }
    };
    for at in 0..schedule.events.len() {
        add(&|schedule| {
            schedule.events.remove(at);
        });
    }
    add(&|schedule| schedule.ages.truncate(1));
    add(&|schedule| schedule.follow = Follow::Unset);
    add(&|schedule| schedule.search = 3);
    add(&|schedule| schedule.ages = vec![Age::V4_7; schedule.ages.len()]);
    for at in 0..schedule.events.len() {
        add(&|schedule| {
            if let Event::Call(_, fate) = &mut schedule.events[at].1 {
                *fate = Fate::Runs;
            }
        });
        for unit in [10_000, 1000, 100, 10] {
            add(&|schedule| {
                let event = &mut schedule.events[at];
                let millis = u64::try_from(event.0.as_millis()).unwrap_or_default();
                event.0 = Duration::from_millis(millis / unit * unit);
            });
        }
    }
    simpler
}
