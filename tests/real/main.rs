//! Tests against real Pgpools. Each needs Docker and fails without it.

// clippy.toml allows these in tests, but takes only functions with #[test] for such; here they call the real ones.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

/// Make one test per Pgpool version out of each function that takes a [`pcp_tests::Version`].
macro_rules! for_each_version {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use pcp_tests::Version;

            #[test]
            fn v4_1() -> anyhow::Result<()> {
                super::$test(Version::V4_1)
            }

            #[test]
            fn v4_3() -> anyhow::Result<()> {
                super::$test(Version::V4_3)
            }

            #[test]
            fn v4_6() -> anyhow::Result<()> {
                super::$test(Version::V4_6)
            }

            #[test]
            fn v4_7() -> anyhow::Result<()> {
                super::$test(Version::V4_7)
            }
        }
    )+};
}

/// Make a test on the oldest and one on the newest Pgpool, and so PostgreSQL, out of what those between add nothing to.
macro_rules! for_oldest_and_newest {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use pcp_tests::Version;

            #[test]
            fn oldest() -> anyhow::Result<()> {
                super::$test(Version::V4_1)
            }

            #[test]
            fn newest() -> anyhow::Result<()> {
                super::$test(Version::V4_7)
            }
        }
    )+};
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
