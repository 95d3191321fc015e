//! Tests against real Pgpools. Each needs Docker and fails without it.

// clippy.toml allows these in tests, but takes only functions with #[test] for such; here they call the real ones.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

/// Make one test per Pgpool version out of each function that takes a [`pcp_tests::Version`].
macro_rules! for_each_version {
    ($($test:ident),+ $(,)?) => {
        $(tests_of!($test, v4_1: V4_1, v4_3: V4_3, v4_6: V4_6, v4_7: V4_7);)+
    };
}

/// Make a test on the oldest and one on the newest Pgpool, and so PostgreSQL, out of what those between add nothing to.
macro_rules! for_oldest_and_newest {
    ($($test:ident),+ $(,)?) => {
        $(tests_of!($test, oldest: V4_1, newest: V4_7);)+
    };
}

macro_rules! tests_of {
    ($test:ident, $($name:ident: $version:ident),+) => {
        mod $test {
            $(
                #[test]
                fn $name() -> anyhow::Result<()> {
                    super::$test(pcp_tests::Version::$version)
                }
            )+
        }
    };
}

mod c_tools;
mod change;
mod doctor;
mod evidence;
mod failover;
mod faults;
mod harness;
mod hostile;
mod links;
mod monitoring;
mod operate;
mod protocol;
mod show;
mod support;
mod watch;
