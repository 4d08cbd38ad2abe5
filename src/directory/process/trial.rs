//! Trial of a configuration at each of its servers.

use futures_util::future::join_all;
use tokio::time::Instant;

use super::connection::{Connection, Tls};
use super::fault::Fault;
use super::message::{code, quoted, Entry};
use super::person::{exists, People};
use super::reasons;
use super::server::Server;
use crate::directory::protocol::Answer;
use crate::domain::directory::Kind;

/// Maximum number of people whose names are read.
const MAX_READ: u32 = 200;
/// Maximum number of groups with a warning that are named for each server.
const MAX_WARNINGS: usize = 5;

/// Tries the configuration at all servers at the same time. It works if it works at one of them at least,
/// and none says that it is wrong.
pub async fn run(people: &People<'_>, servers: &[Server], tls: &Tls, deadline: Instant) -> Answer {
    let trials = servers.iter().map(|server| async move {
        let tried = at_server(people, server, tls, deadline).await;
        (server, tried)
    });
    let (mut lines, mut wrong, mut away) = (Vec::new(), Vec::new(), Vec::new());
    for (server, tried) in join_all(trials).await {
        let url = &server.url;
        match tried {
            Ok(found) => lines.push(format!("{url}: {found}")),
            Err(Fault::Unavailable(why) | Fault::Unanswered(why)) => {
                lines.push(format!("{url}: warning: could not be asked: {why}"));
                away.push(format!("{url}: {why}"));
            }
            Err(fault) => wrong.push(format!("{url}: {fault}")),
        }
    }
    if !wrong.is_empty() {
        Answer::Misconfigured(wrong.join("; "))
    } else if away.len() == servers.len() {
        Answer::Unavailable(away.join("; "))
    } else {
        Answer::Tested(lines)
    }
}

/// Tries the configuration at a server, and returns in words what was found.
async fn at_server(
    people: &People<'_>,
    server: &Server,
    tls: &Tls,
    deadline: Instant,
) -> Result<String, Fault> {
    let mut connection = Connection::open(server, tls, deadline).await?;
    let found = over(people, &mut connection).await?;
    connection.close().await;
    Ok(found)
}

/// Tries the configuration over a connection to a server, and returns in words what was found.
///
/// # Errors
/// [`Fault`]: the server could not be asked, or the configuration is wrong.
pub async fn over(people: &People<'_>, connection: &mut Connection) -> Result<String, Fault> {
    people.sign_in(connection).await?;
    find_a_person(people, connection).await?;
    let (count, mut warnings) = find_groups(people, connection).await?;
    warnings.extend(find_several_names(people, connection).await?);
    let mut found = format!("the certificate, the bind account, the base and the attributes are right; {count} groups exist");
    for warning in warnings {
        found = format!("{found}; warning: {warning}");
    }
    Ok(found)
}

/// Checks that a person with a full name is found below the base.
async fn find_a_person(people: &People<'_>, server: &mut Connection) -> Result<(), Fault> {
    let everybody = people.everybody();
    let attributes = people.attributes();
    let base = quoted(&people.directory.base);
    let (entries, _) = people.search(server, &everybody, &attributes, 1).await?;
    let Some(entry) = entries.first() else {
        return Err(Fault::Misconfigured(format!(
            "nobody below {base:?} matches {:?}, that the bind account may see",
            quoted(&everybody)
        )));
    };
    people.id(entry)?;
    people.username(entry)?;
    if let Some(readable) = reasons::readable(people.directory.kind) {
        // The first may be a group or a contact, which has none.
        let account = format!("(&{everybody}{readable})");
        let (accounts, _) = people.search(server, &account, &attributes, 1).await?;
        reasons::check_readable(people.directory.kind, accounts.first().unwrap_or(entry))?;
    }
    let attribute = &people.directory.full_name_attribute;
    if entry.value(attribute).is_none() {
        let named = format!("(&{everybody}({attribute}=*))");
        let (entries, _) = people.search(server, &named, &attributes, 1).await?;
        if entries.is_empty() {
            return Err(Fault::Misconfigured(format!(
                "fullNameAttribute: nobody below {base:?} has {:?}, that the bind account may read",
                quoted(attribute)
            )));
        }
    }
    Ok(())
}

/// Returns a warning if one of the first people below the base has several names, and so cannot log in.
async fn find_several_names(
    people: &People<'_>,
    server: &mut Connection,
) -> Result<Option<String>, Fault> {
    let attributes = [&*people.name_attribute];
    let everybody = people.everybody();
    let (entries, _) = people
        .search(server, &everybody, &attributes, MAX_READ)
        .await?;
    let several = |entry: &&Entry| people.names(entry).is_ok_and(|names| names.len() > 1);
    Ok(entries.iter().find(several).map(|entry| {
        format!(
            "{:?} has several values of {}, and cannot log in: names must be unique",
            quoted(&entry.dn),
            people.name_attribute
        )
    }))
}

/// Counts the groups that exist, and returns with them warnings of those that do not, or that nobody is a
/// member of.
async fn find_groups(
    people: &People<'_>,
    server: &mut Connection,
) -> Result<(usize, Vec<String>), Fault> {
    let mut count = 0;
    let mut warnings = Vec::new();
    let groups = people.directory.groups.by_type();
    for group in groups.iter().flat_map(|(_, groups)| *groups) {
        let name = quoted(group);
        let outcome = exists(server, group).await?;
        match outcome.code {
            code::SUCCESS => {
                count += 1;
                if people.directory.kind == Kind::Ldap
                    && !has_members(people, server, group).await?
                {
                    warnings.push(format!("nobody names the group {name:?} in memberOf"));
                }
            }
            code::NO_SUCH_OBJECT => warnings.push(format!("the group {name:?} does not exist")),
            _ => return Err(Fault::of(&outcome, &format!("the group {name:?}"))),
        }
    }
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    if more > 0 {
        warnings.truncate(MAX_WARNINGS);
        warnings.push(format!("{more} further groups"));
    }
    Ok((count, warnings))
}

/// Returns whether a person below the base is a member of a group.
async fn has_members(
    people: &People<'_>,
    server: &mut Connection,
    group: &str,
) -> Result<bool, Fault> {
    let members = format!("(memberOf={})", super::message::escaped(group.as_bytes()));
    let attributes = [people.id_attribute()];
    let (entries, _) = people.search(server, &members, &attributes, 1).await?;
    Ok(!entries.is_empty())
}
