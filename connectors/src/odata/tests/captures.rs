//! Real answers, where there are any on this machine: a folder with `*metadata.xml` and feeds beside it.

use std::fs::File;
use std::io::BufReader;

use serde_json::Value;

use crate::odata::atom::{Feed, Item};
use crate::odata::metadata;
use crate::odata::model::Kind;
use crate::odata::shape::{Keep, Shape};

#[test]
#[ignore = "reads the folder that BUS_1C_CAPTURES names"]
fn real_answers_come_through_without_losing_a_digit() {
    let folder = std::env::var("BUS_1C_CAPTURES").expect("BUS_1C_CAPTURES names a folder of real answers");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (models, feeds): (Vec<_>, Vec<_>) = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .partition(|path| path.to_string_lossy().contains("metadata"));
    let model = metadata::read(BufReader::new(File::open(&models[0]).unwrap())).unwrap();
    let keep = Keep { empty_dates: true, zero_references: true, padding: true };
    let (mut entries, mut values) = (0, 0);
    for path in feeds {
        let mut feed = Feed::new(BufReader::new(File::open(&path).unwrap()));
        while let Some(item) = feed.next_item().unwrap() {
            let Item::Entry { entity, fields } = item else { continue };
            let of = model.type_of(&entity).unwrap();
            let record = Shape { keep, zone: None }.record(&model, of, fields.clone());
            let (record, fits) = record;
            assert!(fits, "{entity}");
            entries += 1;
            for (name, raw) in &fields {
                let property = of.property(name).unwrap_or_else(|| panic!("{entity}: {name} is not declared"));
                let Value::String(raw) = raw else { continue };
                let shaped = &record[name.as_str()];
                let text = match shaped {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                };
                assert_eq!(&text, raw, "{entity}: {name}");
                let number = matches!(property.kind, Kind::Integer | Kind::Number);
                assert!(!number || shaped.is_number() || shaped.is_null(), "{entity}: {name}");
                values += 1;
            }
        }
    }
    assert!(entries > 0);
    println!("{entries} entries, {values} values");
}
