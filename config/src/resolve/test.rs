//! Tests of routes: each has one record, and expects one thing of it.

use std::fs;
use std::path::Path;

use bus_core::vocabulary::MapName;
use bus_options::{Located, Report, Sources, Span, codes, nearest};
use bytes::Bytes;

use crate::landscape::{Expected, ExpectedRequest, Map, MapSource, RouteTest};
use crate::language::map::Scalar;
use crate::language::test::{Expect, Test};
use crate::maps::Entries;

/// No broker takes a message of this size, so no record is longer.
const LARGEST: u64 = 16 * 1024 * 1024;

pub fn tests(
    written: Vec<Located<Test>>,
    maps: &[Map],
    base: &Path,
    sources: &Sources,
    report: &mut Report,
) -> Vec<RouteTest> {
    written.into_iter().filter_map(|test| resolved(test, maps, base, sources, report)).collect()
}

/// `None` only after a mistake.
fn resolved(
    written: Located<Test>,
    maps: &[Map],
    base: &Path,
    sources: &Sources,
    report: &mut Report,
) -> Option<RouteTest> {
    let Located { value: test, span } = written;
    let given = given(&test, &span, base, report);
    let held = held(&test, maps, report);
    let place = sources.place(&span);
    let receiver_id = test.receiver_id.map(|id| id.0);
    let expected = expected(test.expect, test.skip, test.hold, test.reject, &span, report);
    Some(RouteTest {
        name: test.name.0,
        route: test.route.name().clone(),
        file: place.file,
        line: place.line,
        given: given?,
        deleted: test.deleted,
        had: test.had || receiver_id.is_some(),
        receiver_id,
        maps: held,
        expected: expected?,
    })
}

fn given(test: &Test, span: &Span, base: &Path, report: &mut Report) -> Option<Bytes> {
    match (&test.given, &test.given_file) {
        (Some(record), None) => Some(record.value.0.clone().into()),
        (None, Some(path)) => match read(&base.join(&path.value)) {
            Ok(record) => Some(record),
            Err(message) => {
                report.add(codes::TEST_FILE, &path.span, format!("`{}` {message}", path.value.display()));
                None
            }
        },
        (Some(_), Some(path)) => {
            let hint = "keep one of the two";
            report.add_with_hint(codes::CONTRADICTION, &path.span, "`given_file` beside `given`", hint);
            None
        }
        (None, None) => {
            let hint = "add given = { … }, or given_file = \"record.json\"";
            report.add_with_hint(codes::MISSING, span, "a test has a record", hint);
            None
        }
    }
}

fn read(path: &Path) -> Result<Bytes, String> {
    let unreadable = |error| format!("cannot be read: {error}");
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > LARGEST {
        return Err(format!("holds {length} bytes: no record is longer than {LARGEST}"));
    }
    let text = fs::read(path).map_err(unreadable)?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&text).map_err(|error| format!("is not JSON: {error}"))?;
    Ok(text.into())
}

fn expected(
    expect: Option<Located<Expect>>,
    skip: Located<bool>,
    hold: Option<Located<bus_options::Filled>>,
    reject: Option<Located<bus_options::Filled>>,
    span: &Span,
    report: &mut Report,
) -> Option<Expected> {
    let skip = Some(skip).filter(|skip| skip.value);
    let mut found = [
        expect.map(|expect| ("expect", expect.span, Expected::Request(request(expect.value)))),
        skip.map(|skip| ("skip", skip.span, Expected::Skip)),
        hold.map(|hold| ("hold", hold.span, Expected::Hold(hold.value.0))),
        reject.map(|reject| ("reject", reject.span, Expected::Reject(reject.value.0))),
    ]
    .into_iter()
    .flatten();
    let Some((first, _, expected)) = found.next() else {
        let hint = "one of: expect = { … }, skip = true, hold = \"…\", reject = \"…\"";
        report.add_with_hint(codes::MISSING, span, "nothing says what the test expects", hint);
        return None;
    };
    let Some((second, span, _)) = found.next() else { return Some(expected) };
    let hint = "a test expects one thing: write another for the other";
    report.add_with_hint(codes::CONTRADICTION, &span, format!("`{second}` beside `{first}`"), hint);
    None
}

fn request(expect: Expect) -> ExpectedRequest {
    ExpectedRequest {
        method: expect.method,
        path: expect.path.map(|path| path.0),
        headers: expect.headers.0.into_iter().map(|entry| (entry.key.value, entry.value)).collect(),
        // It was found to be JSON when it was read.
        body: expect.body.and_then(|body| serde_json::from_str(&body.0).ok()),
    }
}

/// What maps hold in this test: only those that have nothing of their own here.
fn held(test: &Test, maps: &[Map], report: &mut Report) -> Vec<(MapName, Entries)> {
    let mut held = Vec::new();
    for entry in &test.maps.0 {
        let name = entry.key.value.as_str();
        let Some(map) = maps.iter().find(|map| map.handle.name.as_str() == name) else {
            let hint = match nearest(name, maps.iter().map(|map| map.handle.name.as_str())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("define it: [maps.{name}]"),
            };
            report.add_with_hint(codes::UNKNOWN_REFERENCE, &entry.key.span, format!("there is no map `{name}`"), hint);
            continue;
        };
        if matches!(map.source, MapSource::Inline(_) | MapSource::Csv(_)) {
            let message = format!("map `{name}` has its values in the configuration, and a test goes by them");
            report.add_with_hint(codes::CONTRADICTION, &entry.key.span, message, "remove it here");
            continue;
        }
        let value =
            |entry: &bus_options::Entry<String, Scalar>| (entry.key.value.as_str().into(), entry.value.0.clone());
        held.push((map.handle.name.clone(), entry.value.value.0.iter().map(value).collect()));
    }
    held
}
