//! The program itself.

use std::fs;

use anyhow::Result;

use crate::row::Amount::Megabytes;
use crate::row::{Row, Target};

pub(crate) fn measure() -> Result<Vec<Row>> {
    let size = fs::metadata("target/release/pcpctl")?.len() as f64 / 1e6;
    Ok(vec![Row::alone("the program, with everything", Megabytes(size), Target::AtMost(4.0))])
}
