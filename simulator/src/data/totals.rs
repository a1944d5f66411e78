//! Virtual tables: slices of an information register, balances and turnovers of an accumulation register.

use std::collections::BTreeMap;

use super::{Base, literal};
use crate::query::{Expr, check, holds};
use crate::refusal::Refusal;
use crate::schema::edmx::{suffixes, totals};
use crate::schema::{Entity, Origin, Property, Type};
use crate::value::{Row, Value, from_millionths, millionths};

/// What a virtual table is asked for.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// `Condition`: which records take part.
    pub condition: Option<Expr>,
    /// `Dimensions`: by what the result is divided; all of them where nothing is said.
    pub dimensions: Option<Vec<String>>,
    /// `StartPeriod`.
    pub from: Option<String>,
    /// `Period` or `EndPeriod`.
    pub to: Option<String>,
}

/// Its columns and rows.
pub fn rows(base: &Base, entity: &Entity, function: &str, table: &Table) -> Result<(Vec<Property>, Vec<Row>), Refusal> {
    // A register with a recorder is sliced by its records, not by its sets.
    if !entity.functions.contains(&function) || matches!(function, "Post" | "Unpost") {
        return Err(Refusal::no_method());
    }
    if let Some(condition) = &table.condition {
        let columns = columns(entity);
        check(&base.schema, columns, condition)?;
    }
    match function {
        "SliceLast" | "SliceFirst" => Ok((entity.properties.clone(), slice(base, entity, function, table))),
        _ => sums(base, entity, function, table),
    }
}

/// The columns of a record.
fn columns(entity: &Entity) -> &[Property] {
    entity.parts().next().map_or(&entity.properties, |(_, lines)| lines)
}

fn takes_part(base: &Base, columns: &[Property], row: &Row, table: &Table) -> bool {
    table.condition.as_ref().is_none_or(|condition| holds(base, columns, row, condition))
}

fn slice(base: &Base, entity: &Entity, function: &str, table: &Table) -> Vec<Row> {
    let period = entity.at("Period");
    let dimensions: Vec<usize> = match entity.origin {
        // Of what registers here remember with a recorder, the partner is the dimension.
        Origin::Records { .. } => entity.property("Контрагент_Key").into_iter().map(|(at, _)| at).collect(),
        _ => (0..entity.properties.len()).filter(|at| entity.properties[*at].key && *at != period).collect(),
    };
    let mut found: BTreeMap<String, Row> = BTreeMap::new();
    for row in base.all(entity).filter(|row| takes_part(base, &entity.properties, row, table)) {
        let date = row[period].as_text();
        let outside = table.to.as_deref().is_some_and(|to| if function == "SliceLast" { date > to } else { date < to });
        if outside {
            continue;
        }
        let key = dimensions.iter().map(|at| literal(&row[*at])).collect::<Vec<_>>().join(",");
        let better = found.get(&key).is_none_or(|old| {
            let old = old[period].as_text();
            if function == "SliceLast" { date >= old } else { date < old }
        });
        if better {
            found.insert(key, row);
        }
    }
    found.into_values().collect()
}

/// Opening balance, receipt, expense, in millionths.
type Sums = [i128; 3];

fn sums(base: &Base, entity: &Entity, function: &str, table: &Table) -> Result<(Vec<Property>, Vec<Row>), Refusal> {
    let columns = columns(entity);
    let at = |name: &str| columns.iter().position(|column| column.name == name);
    let wanted = |name: &str| {
        let link = name.trim_end_matches("_Key");
        table.dimensions.as_ref().is_none_or(|chosen| chosen.iter().any(|c| c == name || c == link))
    };
    if let Some(chosen) = &table.dimensions {
        let known = |name: &&String| entity.dimensions.iter().any(|d| d == name || d.trim_end_matches("_Key") == *name);
        if let Some(unknown) = chosen.iter().find(|name| !known(name)) {
            return Err(Refusal::no_segment(unknown));
        }
    }
    let dimensions: Vec<usize> =
        entity.dimensions.iter().filter(|name| wanted(name)).filter_map(|name| at(name)).collect();
    let resources: Vec<usize> = entity.resources.iter().filter_map(|name| at(name)).collect();
    let (Some(period), Some(direction)) = (at("Period"), at("RecordType")) else { return Err(Refusal::no_method()) };

    let mut found: BTreeMap<String, (Row, Vec<Sums>)> = BTreeMap::new();
    let sets = entity.at("RecordSet");
    for set in base.all(entity) {
        for record in set[sets].rows().iter().filter(|record| takes_part(base, columns, record, table)) {
            let date = record[period].as_text();
            if table.to.as_deref().is_some_and(|to| date > to) {
                continue;
            }
            let before = function != "Balance" && table.from.as_deref().is_some_and(|from| date < from);
            let key = dimensions.iter().map(|at| literal(&record[*at])).collect::<Vec<_>>().join(",");
            let start = || {
                let values = dimensions.iter().map(|at| record[*at].clone()).collect();
                (values, vec![Sums::default(); resources.len()])
            };
            let (_, sums) = found.entry(key).or_insert_with(start);
            for (sum, at) in sums.iter_mut().zip(&resources) {
                let amount = millionths(record[*at].as_text()).unwrap_or_default();
                let receipt = record[direction].as_text() == "Receipt";
                match (before, receipt) {
                    (true, true) => sum[0] += amount,
                    (true, false) => sum[0] -= amount,
                    (false, true) => sum[1] += amount,
                    (false, false) => sum[2] += amount,
                }
            }
        }
    }
    let keep = |name: &Property| !entity.dimensions.contains(&name.name.as_str()) || wanted(&name.name);
    let shown: Vec<Property> = totals(entity, function).into_iter().filter(keep).collect();
    let rows = found.into_values().filter_map(|(mut row, sums)| {
        let figures: Vec<i128> =
            sums.iter().flat_map(|sums| suffixes(function).iter().map(|s| figure(s, *sums))).collect();
        // What nothing is left of is no row.
        if figures.iter().all(|figure| *figure == 0) {
            return None;
        }
        row.extend(figures.into_iter().map(|figure| Value::Number(from_millionths(figure))));
        Some(row)
    });
    debug_assert!(shown.iter().all(|column| !matches!(column.kind, Type::Rows(_))));
    Ok((shown, rows.collect()))
}

fn figure(suffix: &str, [opening, receipt, expense]: Sums) -> i128 {
    match suffix {
        "OpeningBalance" => opening,
        "Receipt" => receipt,
        "Expense" => expense,
        "Turnover" => receipt - expense,
        _ => opening + receipt - expense,
    }
}
