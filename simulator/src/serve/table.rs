//! Virtual tables: arguments between the parentheses or in the query, quotes inside quotes doubled or not.

use super::answer::{Answer, JSON, XML};
use super::asked::Asked;
use super::{Shared, read};
use crate::data::totals::{Table, rows};
use crate::query::address::{Segment, pairs};
use crate::query::options::{Format, Options};
use crate::query::{check, holds, parse};
use crate::refusal::Refusal;
use crate::render::{Item, View, atom, json};

/// The answer of a virtual table.
pub(super) fn answer(
    shared: &Shared,
    asked: &Asked<'_>,
    options: &Options,
    name: &str,
    function: &Segment,
) -> Result<Answer, Refusal> {
    let base = shared.base();
    let entity = read::entity(&base, name)?;
    let table = table(function, options)?;
    let (columns, rows) = rows(&base, entity, &function.name, &table)?;
    let view = View { base: &base, select: &options.select, expand: &[], list: true };
    view.check(&columns)?;
    if let Some(filter) = &options.filter {
        check(&base.schema, &columns, filter)?;
    }
    let left =
        rows.iter().filter(|row| options.filter.as_ref().is_none_or(|filter| holds(&base, &columns, row, filter)));
    let page = left.skip(options.skip).take(options.top.unwrap_or(usize::MAX));
    let items: Vec<Item> = page.map(|row| view.row(&columns, row)).collect();
    let context = format!("{name}_{}", function.name);
    Ok(match options.format {
        Format::Atom => Answer::new(200, XML, atom::elements(&items)),
        format => Answer::new(200, JSON, json::list(&asked.root, &context, &items, None, format)),
    })
}

fn table(function: &Segment, options: &Options) -> Result<Table, Refusal> {
    let mut table = Table::default();
    let inside = function.inside.as_deref().map(pairs).unwrap_or_default();
    for (name, value) in inside.iter().chain(&options.arguments).filter(|(name, _)| !name.is_empty()) {
        match name.as_str() {
            "Condition" => table.condition = Some(condition(value)?),
            "Dimensions" => {
                table.dimensions = Some(bare(value).split(',').map(|name| name.trim().to_owned()).collect());
            }
            "Period" | "EndPeriod" => table.to = Some(date(value)?),
            "StartPeriod" => table.from = Some(date(value)?),
            _ => return Err(Refusal::no_method()),
        }
    }
    Ok(table)
}

/// Without the quotes around it.
fn bare(value: &str) -> &str {
    value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or(value)
}

/// The manual leaves quotes inside as they are, OData doubles them: whichever reads is right.
fn condition(value: &str) -> Result<crate::query::Expr, Refusal> {
    let inner = bare(value);
    parse(inner).or_else(|_| parse(&inner.replace("''", "'"))).map_err(|_| Refusal::bad_option("Condition"))
}

fn date(value: &str) -> Result<String, Refusal> {
    let text = value.strip_prefix("datetime").map_or(value, bare);
    let full = if text.len() == 10 { format!("{text}T00:00:00") } else { text.to_owned() };
    if full.len() == 19 { Ok(full) } else { Err(Refusal::bad_option("Period")) }
}
