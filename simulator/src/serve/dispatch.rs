//! Which address does what.

use axum::http::Method;

use super::answer::{Answer, JSON, XML};
use super::asked::Asked;
use super::{Shared, plan, read, table, write};
use crate::query::address::{Segment, segments};
use crate::query::options::{Format, Options};
use crate::refusal::Refusal;
use crate::render::{atom, json};

/// Does what is asked; a refusal is an answer too.
pub(super) fn dispatch(shared: &Shared, asked: &Asked<'_>) -> Answer {
    let options = Options::read(asked.query, asked.accept);
    let format = options.as_ref().map_or_else(|_| guess(asked), |options| options.format);
    let answer = options.and_then(|options| address(shared, asked, &options));
    answer.unwrap_or_else(|refusal| Answer::refusal(&refusal, format, asked.faults.xml_errors))
}

/// The form of a refusal when the options themselves cannot be read.
fn guess(asked: &Asked<'_>) -> Format {
    if asked.accept.contains("json") || asked.query.contains("json") { Format::Json } else { Format::Atom }
}

fn address(shared: &Shared, asked: &Asked<'_>, options: &Options) -> Result<Answer, Refusal> {
    let path = segments(asked.path)?;
    let Some((first, rest)) = path.split_first() else { return root(shared, asked, options) };
    match first.name.as_str() {
        "$metadata" => {
            return only_get(asked).map(|()| Answer::new(200, XML, crate::schema::edmx::write(&shared.base().schema)));
        }
        "$batch" => return Err(Refusal::not_supported()),
        "SelectChanges" => return plan::select(shared, asked, options),
        "NotifyChangesReceived" => return plan::notify(shared, asked, options),
        _ => {}
    }
    let name = first.name.clone();
    let names: Vec<&str> = rest.iter().map(|segment| segment.name.as_str()).collect();
    match (&first.inside, names.as_slice()) {
        (Some(key), ["Post" | "Unpost"]) if !key.is_empty() => {
            write::post(shared, asked, options, &name, key, names[0] == "Post")
        }
        (_, [function]) if is_table(function) => {
            only_get(asked)?;
            table::answer(shared, asked, options, &name, &rest[0])
        }
        (Some(key), _) if !key.is_empty() => one(shared, asked, options, &name, key, rest),
        (_, ["$count"]) => only_get(asked).and_then(|()| read::count(shared, options, &name)),
        (_, []) => match *asked.method {
            Method::GET => read::list(shared, asked, options, &name),
            Method::POST => write::create(shared, asked, options, &name),
            _ => Err(Refusal::method()),
        },
        _ => Err(Refusal::no_method()),
    }
}

fn one(
    shared: &Shared,
    asked: &Asked<'_>,
    options: &Options,
    name: &str,
    key: &str,
    rest: &[Segment],
) -> Result<Answer, Refusal> {
    match *asked.method {
        Method::GET => read::single(shared, asked, options, name, key, rest),
        _ if !rest.is_empty() => Err(Refusal::method()),
        Method::PATCH | Method::PUT => write::change(shared, asked, options, name, key),
        Method::DELETE => write::delete(shared, asked, name, key),
        _ => Err(Refusal::method()),
    }
}

fn only_get(asked: &Asked<'_>) -> Result<(), Refusal> {
    if *asked.method == Method::GET { Ok(()) } else { Err(Refusal::method()) }
}

fn is_table(name: &str) -> bool {
    matches!(name, "SliceLast" | "SliceFirst" | "Balance" | "Turnovers" | "BalanceAndTurnovers")
}

fn root(shared: &Shared, asked: &Asked<'_>, options: &Options) -> Result<Answer, Refusal> {
    only_get(asked)?;
    let base = shared.base();
    let sets = base.schema.entities.iter().map(|entity| entity.name.as_str());
    Ok(match options.format {
        Format::Atom => Answer::new(200, XML, atom::root(&asked.root, sets)),
        _ => Answer::new(200, JSON, json::root(&asked.root, sets)),
    })
}
