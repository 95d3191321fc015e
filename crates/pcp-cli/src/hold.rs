//! Maintenance marks: nodes that `reconcile` leaves alone, kept on this host only.
//!
//! Each is a small file in `STATE_DIR/holds`, named after the node. The name counts, and a file that is damaged holds
//! its node all the same.

mod file;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pcp_client::{Node, NodeName, resolve};
use pcp_proto::NodeId;

pub(crate) use file::{Mark, time};

/// The marks of this host.
#[derive(Debug)]
pub(crate) struct Holds(Vec<Hold>);

/// One mark.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    /// The node that is held; `None` where the file's name is none: then every node is.
    pub(crate) node: Option<NodeName>,
    pub(crate) path: PathBuf,
    /// What the file says, or what is wrong with it.
    pub(crate) mark: Result<Mark, String>,
}

/// Why marks cannot be read, kept or taken away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HoldError {
    #[error("the marks in {} cannot be read, so nobody knows which nodes are held", dir.display())]
    Unreadable { dir: PathBuf, source: io::Error },
    #[error("{} is not a directory: a mark is kept in no other place", dir.display())]
    NotADirectory { dir: PathBuf },
    #[error(
        "the mark {} cannot be written; run this as a user who may write there, make the directory with: \
         install -d -m 0755 -o USER {}; or give another one with --state-dir or PCPCTL_STATE_DIR, also to reconcile",
        path.display(), dir.display()
    )]
    Unwritable { path: PathBuf, dir: PathBuf, source: io::Error },
    #[error("the mark {} cannot be removed; run this as a user who may", path.display())]
    Unremovable { path: PathBuf, source: io::Error },
}

impl Holds {
    /// Reads all marks. No directory is no marks.
    pub(crate) fn load(state_dir: &Path) -> Result<Self, HoldError> {
        let dir = holds_dir(state_dir);
        let unreadable = |source| HoldError::Unreadable { dir: dir.clone(), source };
        match fs::symlink_metadata(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self(Vec::new())),
            Err(error) => return Err(unreadable(error)),
            Ok(metadata) if !metadata.is_dir() => return Err(HoldError::NotADirectory { dir }),
            Ok(_) => {}
        }
        let mut holds = Vec::new();
        for entry in fs::read_dir(&dir).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if let Some(node) = file::node_of(&entry.file_name()) {
                holds.push(Hold { node, mark: file::read(&entry.path()), path: entry.path() });
            }
        }
        holds.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self(holds))
    }

    /// Returns the mark that holds the node now: one whose name means it, by the rules by which names mean nodes.
    pub(crate) async fn on(&self, node: &Node, now: SystemTime) -> Option<&Hold> {
        for hold in self.0.iter().filter(|hold| !hold.is_over(now)) {
            if hold.is_on(node).await {
                return Some(hold);
            }
        }
        None
    }

    /// Returns the names of the nodes that are held now, as far as their marks name any.
    pub(crate) fn names(&self, now: SystemTime) -> Vec<NodeName> {
        self.0.iter().filter(|hold| !hold.is_over(now)).filter_map(|hold| hold.node.clone()).collect()
    }

    /// Returns every mark, over or not.
    pub(crate) fn all(&self) -> &[Hold] {
        &self.0
    }

    /// Keeps a mark in the place of what there is for the node, and returns it.
    pub(crate) fn place(state_dir: &Path, node: NodeName, mark: Mark) -> Result<Hold, HoldError> {
        let dir = holds_dir(state_dir);
        let path = dir.join(file::name_of(&node));
        match fs::symlink_metadata(&dir) {
            Ok(metadata) if !metadata.is_dir() => return Err(HoldError::NotADirectory { dir }),
            _ => {}
        }
        match file::write(&dir, &path, &mark) {
            Ok(()) => Ok(Hold { node: Some(node), path, mark: Ok(mark) }),
            Err(source) => Err(HoldError::Unwritable { path, dir, source }),
        }
    }
}

impl Hold {
    /// Takes the mark away. One that is gone already is no error.
    pub(crate) fn remove(&self) -> Result<(), HoldError> {
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(HoldError::Unremovable { path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// Tells whether its time is up. A damaged mark has no end.
    pub(crate) fn is_over(&self, now: SystemTime) -> bool {
        self.mark.as_ref().is_ok_and(|mark| mark.until.is_some_and(|until| until <= now))
    }

    /// Tells whether its name means the node.
    pub(crate) async fn is_on(&self, node: &Node) -> bool {
        match &self.node {
            Some(name) => resolve(name, std::slice::from_ref(node)).await.is_ok(),
            None => true,
        }
    }

    /// Tells whether it is the one that is meant by a name, where no Pgpool can be asked: it is kept under the same, or
    /// under an address that the name means.
    pub(crate) async fn is_named(&self, name: &NodeName) -> bool {
        let (Some(NodeName::Address { host, port: kept }), NodeName::Address { port, .. }) = (&self.node, name)
        else {
            return self.node.as_ref() == Some(name);
        };
        let node = Node {
            id: NodeId::MAX,
            host: host.as_str().into(),
            port: kept.or(*port).unwrap_or_default(),
            status: None,
            role: None,
            quarantine: false,
            failover_disallowed: false,
        };
        resolve(name, &[node]).await.is_ok()
    }

    /// Returns the node as the mark names it.
    pub(crate) fn shown_node(&self) -> String {
        self.node.as_ref().map_or_else(|| "every node".to_owned(), ToString::to_string)
    }
}

/// Shows who holds the node, since when and why, as a verdict says it.
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mark {
            Ok(mark) => mark.fmt(f),
            Err(reason) => write!(f, "held: its mark {} is damaged: {reason}", self.path.display()),
        }
    }
}

fn holds_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("holds")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    use super::*;

    /// A state directory that is removed at the end.
    struct StateDir(PathBuf);

    impl StateDir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("pcpctl-hold-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            Self(dir)
        }

        fn place(&self, node: &str, mark: Mark) -> Hold {
            Holds::place(&self.0, node.parse().unwrap(), mark).unwrap()
        }

        async fn on(&self, host: &str, port: u16) -> Option<String> {
            let holds = Holds::load(&self.0).unwrap();
            holds.on(&node(host, port), at(100)).await.map(ToString::to_string)
        }
    }

    impl Drop for StateDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn mark(reason: Option<&str>, until: Option<SystemTime>) -> Mark {
        Mark { by: "alice".to_owned(), since: at(1), reason: reason.map(str::to_owned), until }
    }

    fn node(host: &str, port: u16) -> Node {
        let id = 2_usize.try_into().unwrap();
        Node {
            id,
            host: host.into(),
            port,
            status: None,
            role: None,
            quarantine: false,
            failover_disallowed: false,
        }
    }

    #[tokio::test]
    async fn a_mark_holds_its_node_and_no_other() {
        let dir = StateDir::new("nodes");
        assert_eq!(dir.on("10.0.0.3", 5432).await, None);
        dir.place("10.0.0.3:5432", mark(Some("disk\n\u{e9}"), None));
        dir.place("PG4", mark(None, Some(at(101))));
        dir.place("[fd00::5]:5433", mark(None, None));
        let held = "held by alice since 1970-01-01T00:00:01Z";
        assert_eq!(dir.on("10.0.0.3", 5432).await.unwrap(), format!("{held}: disk\n\u{e9}"));
        assert_eq!(dir.on("pg4.", 1).await.unwrap(), format!("{held} until 1970-01-01T00:01:41Z"));
        assert_eq!(dir.on("FD00:0::5", 5433).await.unwrap(), held);
        for (host, port) in [("10.0.0.3", 5433), ("10.0.0.30", 5432), ("pg5", 1), ("fd00::5", 5432)] {
            assert_eq!(dir.on(host, port).await, None, "{host}:{port}");
        }
        dir.place("2", mark(None, None));
        assert!(dir.on("pg5", 1).await.is_some());
    }

    #[tokio::test]
    async fn a_mark_ends() {
        let dir = StateDir::new("ends");
        let hold = dir.place("pg1", mark(None, Some(at(100))));
        assert_eq!(dir.on("pg1", 1).await, None);
        assert!(hold.is_over(at(100)) && !hold.is_over(at(99)));
        dir.place("pg1", mark(None, Some(at(101))));
        assert!(dir.on("pg1", 1).await.is_some());
        hold.remove().unwrap();
        hold.remove().unwrap();
        assert!(Holds::load(&dir.0).unwrap().all().is_empty());
    }

    #[tokio::test]
    async fn a_damaged_mark_holds_and_is_named() {
        let dir = StateDir::new("damaged");
        let path = dir.place("pg1", mark(None, None)).path;
        let long = "x".repeat(70_000);
        for (text, reason) in [
            ("", "EOF"),
            ("{}", "missing field"),
            (
                r#"{"schema_version":2,"by":"a","since":"1970-01-01T00:00:01Z","reason":null,"until":null}"#,
                "version",
            ),
            (r#"{"schema_version":1,"by":"a","since":"soon","reason":null,"until":null}"#, "soon"),
            (long.as_str(), "too long"),
        ] {
            fs::write(&path, text).unwrap();
            let held = dir.on("pg1", 1).await.unwrap();
            assert!(held.contains(&format!("{} is damaged", path.display())) && held.contains(reason), "{held}");
        }
        // Marks are not followed to elsewhere, nor waited for.
        fs::remove_file(&path).unwrap();
        let elsewhere = dir.place("elsewhere", mark(None, None)).path;
        symlink(elsewhere, &path).unwrap();
        assert!(dir.on("pg1", 1).await.unwrap().contains("symbolic link"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(dir.on("pg1", 1).await.unwrap().contains("not a plain file"));
        // A name that means no node may have meant any.
        fs::write(dir.0.join("holds/a%zz.json"), "{}").unwrap();
        assert!(dir.on("pg9", 1).await.unwrap().contains("a%zz.json"));
    }

    #[tokio::test]
    async fn other_files_are_no_marks() {
        let dir = StateDir::new("others");
        dir.place("pg2", mark(None, None));
        for name in ["pg1.json~", ".pg1.json.tmp", "README"] {
            fs::write(dir.0.join("holds").join(name), "").unwrap();
        }
        assert_eq!(Holds::load(&dir.0).unwrap().all().len(), 1);
        assert_eq!(dir.on("pg1", 1).await, None);
    }

    #[test]
    fn a_mark_is_written_whole_and_for_all_to_read() {
        let dir = StateDir::new("written");
        let target = dir.0.join("target");
        let path = dir.place("pg1", mark(None, None)).path;
        // A link in its place is replaced, not followed.
        fs::write(&target, "untouched").unwrap();
        fs::remove_file(&path).unwrap();
        symlink(&target, &path).unwrap();
        dir.place("pg1", mark(Some("x"), None));
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!((metadata.is_file(), metadata.permissions().mode() & 0o777), (true, 0o644));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"schema_version\":1,\"by\":\"alice\",\"since\":\"1970-01-01T00:00:01Z\",\"reason\":\"x\",\"until\":null}\n"
        );
        assert_eq!(fs::read_dir(dir.0.join("holds")).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_is_none_is_named() {
        let dir = StateDir::new("place");
        fs::create_dir_all(&dir.0).unwrap();
        fs::write(dir.0.join("holds"), "").unwrap();
        let placed = Holds::place(&dir.0, "pg1".parse().unwrap(), mark(None, None)).unwrap_err();
        assert!(placed.to_string().ends_with("/holds is not a directory: a mark is kept in no other place"));
        assert!(matches!(Holds::load(&dir.0), Err(HoldError::NotADirectory { .. })));
        let below_a_file =
            Holds::place(&dir.0.join("holds"), "pg1".parse().unwrap(), mark(None, None)).unwrap_err();
        let text = below_a_file.to_string();
        assert!(
            text.contains("pg1.json cannot be written") && text.contains("install -d -m 0755 -o USER /"),
            "{text}"
        );
    }
}
