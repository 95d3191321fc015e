mod event;
mod look;
mod screen;
mod state;
mod terminal;

use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::{block_on, ended_by_signal, read, run_to_end, with_notices};
use crate::args::{OutputFormat, WatchArgs};
use crate::exit::Exit;
use crate::guard::Guard;
use crate::page::Page;
use crate::settings::{Env, Layer, Settings};
use crate::{log, output};
use event::Event;
use look::{Look, look};
use screen::Screen;
use state::State;
use terminal::Key;

/// How long a look waits before it tries once more: Pgpool resets connections while it replaces its PCP process.
const SECOND_TRY: Duration = Duration::from_millis(500);
/// How often the screen is drawn where nothing happens: marks and the clock go on.
const REDRAW: Duration = Duration::from_secs(1);
/// How long a run that was told to end may take for it, as when nobody reads its output.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn run(args: &WatchArgs, env: Env<'_>) -> Exit {
    log::start_stderr(&args.read.output);
    let settings = match read::settings(Layer::from_flags(&args.read.connection), &args.read, env) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    end_after_signal();
    // What the environment and files say of a deadline is for commands that end by themselves.
    let limit = args.read.connection.deadline;
    let _guard = limit.map(|limit| Guard::start(limit, Exit::Done));
    block_on(async {
        let mut view = View::open(args, env);
        let exit = watch(args, &settings, &mut view).await;
        // The terminal is as it was before anything else is printed.
        drop(view);
        match exit {
            Ok(exit) => exit,
            Err(Refused(errors)) => {
                errors.into_iter().for_each(|error| output::err_line(format_args!("pcpctl: {error}")));
                Exit::Authentication
            }
        }
    })
}

/// Every Pgpool refuses the login.
struct Refused(Vec<String>);

/// What the watcher sees.
enum View {
    Screen(Box<Screen>),
    /// A line for each change.
    Lines,
    Json,
}

async fn watch(args: &WatchArgs, settings: &Settings, view: &mut View) -> Result<Exit, Refused> {
    let mut state = State::new(settings.endpoints().map(ToString::to_string));
    let mut looks = start_looking(args, settings);
    let mut keys = terminal::keys();
    let mut resized = terminal::resized();
    let mut signal = std::pin::pin!(ended_by_signal());
    let mut redraw = interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = args.read.connection.deadline.map(|limit| Instant::now() + limit);
    loop {
        tokio::select! {
            Some((at, look)) = looks.recv() => {
                let events = state.take(at, look);
                view.tell(&events);
                if let Some(errors) = state.refused_by_all() {
                    return Err(Refused(errors));
                }
            }
            exit = &mut signal => return Ok(if exit == Exit::Interrupted { Exit::Done } else { exit }),
            Some(Key::Quit) = keys.recv() => return Ok(Exit::Done),
            () = resized.wait() => {}
            _ = redraw.tick() => {
                if !output::has_reader() {
                    return Ok(Exit::Done);
                }
            }
            () = async { sleep_until(end.unwrap_or_else(Instant::now)).await }, if end.is_some() => {
                return Ok(Exit::Done);
            }
        }
        if let View::Screen(screen) = view {
            screen.draw(&state);
        }
    }
}

impl View {
    fn open(args: &WatchArgs, env: Env<'_>) -> Self {
        match args.read.output.output {
            OutputFormat::Json => Self::Json,
            OutputFormat::Table if io::stdout().is_terminal() => {
                Self::Screen(Box::new(Screen::open(Page::stdout(args.read.color, env), args.interval)))
            }
            OutputFormat::Table => Self::Lines,
        }
    }

    fn tell(&self, events: &[Event]) {
        for event in events {
            match self {
                Self::Screen(_) => {}
                Self::Lines => event.lines().iter().for_each(output::line),
                Self::Json => output::json(event),
            }
        }
    }
}

/// Looks at each Pgpool again and again, whatever the others do. No connection is open between two looks.
fn start_looking(args: &WatchArgs, settings: &Settings) -> Receiver<(usize, Look)> {
    let (found, looks) = channel(settings.targets.len().max(1));
    for (at, target) in settings.targets.iter().enumerate() {
        let connect = with_notices(&target.connector, &args.read.output);
        let (credentials, interval, found): (_, _, Sender<_>) =
            (target.credentials.clone(), args.interval, found.clone());
        tokio::spawn(async move {
            loop {
                let mut look = look(&connect, &credentials).await;
                if look.seen.as_ref().is_err_and(|gone| gone.is_retryable) {
                    sleep(SECOND_TRY).await;
                    look = self::look(&connect, &credentials).await;
                }
                if found.send((at, look)).await.is_err() {
                    return;
                }
                sleep(interval).await;
            }
        });
    }
    looks
}

/// Ends the process a second after a signal where it does not end by itself.
fn end_after_signal() {
    thread::spawn(|| {
        // Called within the runtime: it listens from the call on.
        if let Ok(exit) = run_to_end(async { ended_by_signal().await }) {
            thread::sleep(PATIENCE);
            std::process::exit(if exit == Exit::Interrupted { 0 } else { exit.code() });
        }
    });
}
