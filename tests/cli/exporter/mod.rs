//! `exporter`: what it tells of Pgpools of several ages, and how it tells it.

mod http;
mod page;
mod textfile;
