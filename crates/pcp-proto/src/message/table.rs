//! The table in this module's documentation, compared with the code.

use super::*;

/// A table's rows, as cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, table) = include_str!("mod.rs").split_once(heading).unwrap();
    let lines = table.lines().skip_while(|line| !line.starts_with("//! |")).skip(2);
    lines
        .map_while(|line| line.strip_prefix("//! |")?.strip_suffix('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect()
}

fn requests() -> Vec<Vec<&'static str>> {
    rows("# What a client sends")
}

fn replies() -> Vec<Vec<&'static str>> {
    rows("# What a server sends")
}

/// The letters in a cell such as `` `a` `c` ``.
fn letters(cell: &str) -> Vec<u8> {
    let letters: Vec<_> = cell.split_whitespace().map(|letter| letter.trim_matches('`').as_bytes()).collect();
    assert!(letters.iter().all(|letter| letter.len() == 1), "{cell}");
    letters.concat()
}

/// A type's name in a link.
fn link<T>() -> String {
    format!("[`{}`]", std::any::type_name::<T>().rsplit("::").next().unwrap())
}

#[test]
fn every_request_stands_in_the_table_as_it_is_coded() {
    fn check<R: Request>(more: &str) -> (u8, u8, String) {
        let row =
            requests().into_iter().find(|row| row[0] == link::<R>()).unwrap_or_else(|| panic!("{}", link::<R>()));
        let cells = [
            format!("`{}`", R::KIND),
            format!("`{}`", R::REPLY),
            link::<R::Reply>(),
            format!("{}{more}", R::SINCE),
        ];
        assert_eq!(row[1..], cells, "{}", row[0]);
        (R::KIND.0, R::REPLY.0, link::<R::Reply>())
    }
    let switchover = ", a switchover 4.3";
    let checked = [
        check::<AttachNode>(""),
        check::<DetachNode>(""),
        check::<DetachNodeGracefully>(""),
        check::<InvalidateQueryCache>(""),
        check::<PromoteNode>(switchover),
        check::<PromoteNodeGracefully>(switchover),
        check::<ReadHealthCheckStats>(""),
        check::<ReadNodeCount>(""),
        check::<ReadNodeInfo>(", all nodes 4.3"),
        check::<ReadPoolStatus>(""),
        check::<ReadProcessCount>(""),
        check::<ReadProcessInfo>(""),
        check::<ReadWatchdogInfo>(""),
        check::<RecoverNode>(""),
        check::<ReloadConfig>(""),
        check::<RotateLog>(""),
        check::<SetClientMinMessages>(""),
        check::<StopCluster>(""),
        check::<StopPgpool>(""),
    ];
    let (node, mode) = (NodeId::MAX, PromoteMode::Switchover);
    let requirement = PromoteNode { node, mode }.requirement();
    assert_eq!(format!(", a switchover {}", requirement.since), switchover);
    assert_eq!(PromoteNodeGracefully { node, mode }.requirement(), requirement);
    assert_eq!(ReadNodeInfo::All.requirement().since, Release::new(4, 3));

    // What the session sends has no type of its own.
    let rest: Vec<_> = requests().into_iter().filter(|row| !row[0].starts_with('[')).collect();
    let session = [
        ["request for the salt", "`M`", "`m`", "[`Salt`](crate::Salt)", "3.5"],
        ["login", "`R`", "`r`", "", "3.5"],
        ["goodbye", "`X`", "", "", "3.5"],
    ];
    assert_eq!(rest, session);
    assert_eq!(requests().len(), checked.len() + session.len(), "each request once");

    let known: Vec<_> = (0..=255).filter(|&letter| RequestKind(letter).name().is_some()).collect();
    let mut listed: Vec<_> = checked.iter().map(|(kind, ..)| *kind).chain(*b"MRX").collect();
    listed.sort_unstable();
    assert_eq!(listed, known);

    // And each reply with the letters of the requests that it answers.
    for row in replies().iter().filter(|row| checked.iter().any(|(.., reply)| reply == row[0])) {
        let mut answers: Vec<_> =
            checked.iter().filter(|(.., reply)| reply == row[0]).map(|(_, kind, _)| *kind).collect();
        answers.sort_unstable();
        answers.dedup();
        assert_eq!(letters(row[1]), answers, "{}", row[0]);
    }
}

#[test]
fn every_reply_stands_in_the_table_as_it_is_coded() {
    let mut listed: Vec<_> = replies().iter().flat_map(|row| letters(row[1])).collect();
    listed.sort_unstable();
    let known: Vec<_> = (0..=255).filter(|&letter| ReplyKind(letter).name().is_some()).collect();
    assert_eq!(listed, known);

    let layouts = |name: String| replies().into_iter().find(|row| row[0] == name).unwrap()[2].to_owned();
    assert_eq!(layouts(link::<NodeInfos>()), spelled(NodeInfoLayout::all().map(|it| (it.fields(), it.age()))));
    assert_eq!(
        layouts(link::<ProcessInfos>()),
        spelled(ProcessInfoLayout::all().map(|it| (it.fields(), it.age())))
    );

    let strings = |frames: &[Frame<ReplyKind>]| Fields::new(&frames[frames.len() / 2].body).count() - 1;
    let kind = ReplyKind(0);
    let since = |release| crate::ServerAge::since(release);
    for (name, frames, age) in [
        (link::<Accepted>(), Accepted.encode(kind), since(AttachNode::SINCE)),
        (link::<HealthCheckStats>(), HealthCheckStats::default().encode(kind), since(ReadHealthCheckStats::SINCE)),
        (link::<NodeCount>(), NodeCount(3).encode(kind), since(ReadNodeCount::SINCE)),
        (
            link::<PoolStatus>(),
            PoolStatus { parameters: vec![Parameter::default()] }.encode(kind),
            since(ReadPoolStatus::SINCE),
        ),
        (link::<WatchdogInfo>(), WatchdogInfo { json: "{}".into() }.encode(kind), since(ReadWatchdogInfo::SINCE)),
    ] {
        assert_eq!(layouts(name), spelled([(strings(&frames), age)].into_iter()));
    }
}

/// Writes layouts as the table does: those of the same releases together.
fn spelled(layouts: impl Iterator<Item = (usize, crate::ServerAge)>) -> String {
    let mut groups: Vec<(String, crate::ServerAge)> = Vec::new();
    for (fields, age) in layouts {
        match groups.last_mut() {
            Some((text, last)) if *last == age => *text += &format!(" {fields}"),
            _ => groups.push((fields.to_string(), age)),
        }
    }
    groups.iter().map(|(fields, age)| format!("{fields} ({age})")).collect::<Vec<_>>().join(", ")
}
