//! One request, and what came of it.

use pcp_client::{Client, Error, ErrorKind, Limits};
use pcp_proto::message::{ReadNodeCount, ReadPoolStatus, ReadProcessCount};
use pcp_proto::{Release, ServerAge};

use super::age;
use super::arguments::Arguments;
use super::choices::{Choices, Verify};
use super::complaint::complaint;
use super::debug::{Mark, Record, Recorded, Recorder};
use super::end::End;
use super::form::Form;
use super::login::Login;
use super::print::{self, Detail, Rows};
use super::request::{Command, Read, Request};
use super::tool::Tool;
use crate::exit::Exit;
use crate::output;

/// A run of a link.
pub(super) struct Run<'a> {
    pub(super) tool: Tool,
    pub(super) arguments: &'a Arguments,
    pub(super) choices: Choices,
    pub(super) login: Login,
    record: Record,
}

/// What is printed of a reply.
struct Answer {
    text: Vec<u8>,
    /// Of how many processes a tool up to 4.2 tells with `-d` that it frees them, as its last words.
    freed: usize,
}

impl From<Vec<u8>> for Answer {
    fn from(text: Vec<u8>) -> Self {
        Self { text, freed: 0 }
    }
}

/// Why there is nothing to print.
pub(super) enum Failed {
    /// By the connection or the server, whose words are printed.
    Error(Error, End),
    /// By ourselves.
    Said(String, End),
}

impl Failed {
    /// Fails while nothing but questions was sent.
    pub(super) fn asking(error: Error, client: &Connection) -> Self {
        let exit = Exit::from(&error);
        let end = if client.is_logged_in() { End::after_login(exit) } else { End::before_login(exit) };
        Self::Error(error, end)
    }

    /// Fails when the change or order was sent, or was about to be.
    pub(super) fn sending(error: Error) -> Self {
        let end = match error.kind() {
            ErrorKind::Authentication => End::before_login(Exit::Authentication),
            // A refusal that closes the connection is one all the same.
            ErrorKind::Refused => End::after_login(Exit::Refused),
            _ if error.outcome_unknown() => End::after_login(Exit::NotVerified),
            _ => End::after_login((&error).into()),
        };
        Self::Error(error, end)
    }
}

type Connection = Client<Recorded>;

impl<'a> Run<'a> {
    pub(super) fn new(tool: Tool, arguments: &'a Arguments, choices: Choices, login: Login) -> Self {
        let record = if arguments.debug { Record::kept() } else { Record::default() };
        Self { tool, arguments, choices, login, record }
    }

    /// Asks and prints.
    pub(super) async fn run(&self) -> End {
        let mut asked = Mark::default();
        let outcome = match self.arguments.request {
            Request::Read(read) => self.read(read).await,
            Request::Change(node, change) if self.choices.verify == Verify::On => {
                self.change(node, change, &mut asked).await.map(|()| self.success().into())
            }
            Request::Change(..) | Request::Order(_) => self.command().await.map(|()| self.success().into()),
        };
        self.print(outcome, asked)
    }

    fn print(&self, outcome: Result<Answer, Failed>, asked: Mark) -> End {
        let told = self.record.tell(&self.arguments.request.outgoing(), asked);
        output::bytes(told.as_bytes());
        let mut freed = 0;
        let end = match outcome {
            Ok(answer) => {
                output::bytes(&answer.text);
                freed = answer.freed;
                End::DONE
            }
            Err(Failed::Error(error, end)) => {
                output::err_bytes(&complaint(&error, &self.login.target.connector.endpoint));
                end
            }
            Err(Failed::Said(text, end)) => {
                output::err_line(text);
                end
            }
        };
        output::bytes(self.record.goodbye().as_bytes());
        if self.arguments.debug {
            output::bytes("free ProcessInfo structure \n".repeat(freed).as_bytes());
        }
        end
    }

    fn success(&self) -> Vec<u8> {
        format!("{} -- Command Successful\n", self.tool.name()).into_bytes()
    }

    /// Connects. One deadline is the only limit: the tools wait for everything.
    pub(super) async fn connect(&self) -> Result<Connection, Failed> {
        let Login { settings, target } = &self.login;
        let recorder = Recorder { connector: target.connector.clone(), record: self.record.clone() };
        let deadline = settings.deadline;
        let limits = Limits { login: settings.limit, query: settings.limit, change: settings.limit, deadline };
        let stream = pcp_client::Connect::connect(&recorder, deadline).await;
        let stream = stream.map_err(|error| {
            let end = End::before_login((&error).into());
            Failed::Error(error, end)
        })?;
        Ok(Client::new(stream, target.credentials.clone(), limits))
    }

    /// Sends the change or order, and believes the answer.
    async fn command(&self) -> Result<(), Failed> {
        let client = self.connect().await?;
        self.send(client).await.map_err(Failed::sending)
    }

    /// Sends the tool's one request as the last thing on a connection.
    pub(super) async fn send(&self, client: Connection) -> Result<(), Error> {
        let taken = client.finish(Command(self.arguments.request.outgoing())).await;
        self.record.end();
        taken.map(drop)
    }

    /// Returns how much of what the server says does not belong to the request, and whose tool sends that.
    pub(super) fn mark(&self, age: ServerAge) -> Mark {
        let of_server = age.is_before(Release::new(4, 3)).then_some(Form::last_of(4, 2));
        self.record.mark(self.choices.form.or(of_server))
    }

    async fn read(&self, read: Read) -> Result<Answer, Failed> {
        let mut client = self.connect().await?;
        match self.ask(&mut client, read).await {
            Ok(answer) => {
                client.close().await;
                Ok(answer)
            }
            Err(error) => Err(Failed::asking(error, &client)),
        }
    }

    async fn ask(&self, client: &mut Connection, read: Read) -> Result<Answer, Error> {
        let detail = if self.arguments.verbose { Detail::Verbose } else { Detail::Brief };
        let rows = if self.arguments.all { Rows::All } else { Rows::InUse };
        let pinned = self.choices.form;
        let text = match read {
            Read::NodeCount => print::node_count(&self.heard(client.send(ReadNodeCount).await)?, detail),
            Read::PoolStatus => print::pool_status(&self.heard(client.send(ReadPoolStatus).await)?, detail),
            Read::ProcessCount => print::process_count(&self.heard(client.send(ReadProcessCount).await)?, detail),
            Read::NodeInfo(request) => {
                let infos = self.heard(client.send(request).await)?;
                let form = match pinned {
                    Some(form) => form,
                    None => age::of_nodes(client, &infos).await,
                };
                print::node_infos(&infos, form, detail, rows)
            }
            Read::ProcessInfo(request) => {
                let infos = self.heard(client.send(request).await)?;
                let form = match pinned {
                    Some(form) => form,
                    None => age::of_processes(client, &infos, rows).await,
                };
                let text = print::process_infos(&infos, form, detail, rows);
                let freed = if form.is_at_least(4, 3) { 0 } else { infos.processes.len() };
                return Ok(Answer { text, freed });
            }
            Read::HealthCheckStats(request) => {
                let stats = self.heard(client.send(request).await)?;
                let form = match pinned {
                    Some(form) => form,
                    None => age::of_health_check_stats(client, detail).await,
                };
                print::health_check_stats(&stats, form, detail)
            }
            Read::WatchdogInfo(request) => {
                let info = self.heard(client.send(request).await)?;
                let cluster = info.cluster()?;
                let form = match pinned {
                    Some(form) => form,
                    None => age::of_watchdog(client, &info, &cluster, detail).await,
                };
                print::watchdog_info(&cluster, form, detail)
            }
        };
        Ok(text.into())
    }

    /// Ends the record: what is asked from here on, the tool would not have asked.
    fn heard<T>(&self, answer: T) -> T {
        self.record.end();
        answer
    }
}
