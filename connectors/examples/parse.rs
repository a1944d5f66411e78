//! The parsers of 1C's answers, and the bare ones below them, over one big answer: a part of `cargo xtask bench c`.
//!
//! `parse generate FOLDER ORDERS` writes `answer.json` and `answer.xml`, as the simulator of 1C gives them; `parse measure PARSER FILE`
//! reads one and prints what it took, in a process of its own so that its memory can be told apart.
#![allow(missing_docs)]

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::time::Instant;

use bus_connectors::odata::parsers::{Feed, Splitter, fields};
use bus_simulator::{Options, Simulator};
use serde_json::{Value, json};

/// What an answer arrives in.
const CHUNK: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["generate", folder, orders] => generate(Path::new(folder), orders.parse()?),
        ["measure", parser, file] => {
            let begun = Instant::now();
            let records = match parser {
                "json" => ours_json(file)?,
                "bare-json" => bare_json(file)?,
                "atom" => ours_atom(file)?,
                "bare-atom" => bare_atom(file)?,
                _ => return Err(format!("there is no parser {parser}").into()),
            };
            println!("{}", json!({ "records": records, "seconds": begun.elapsed().as_secs_f64() }));
            // The memory is looked at from outside while this waits.
            std::io::stdin().read_to_end(&mut Vec::new())?;
            Ok(())
        }
        _ => Err("usage: parse generate FOLDER ORDERS | parse measure json|bare-json|atom|bare-atom FILE".into()),
    }
}

#[tokio::main]
async fn generate(folder: &Path, size: u32) -> Result<(), Box<dyn Error>> {
    // Another part of the process may have chosen one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let simulator = Simulator::start(Options { size, ..Options::default() }).await?;
    for (name, format) in [("answer.json", "json"), ("answer.xml", "atom")] {
        let url = format!("{}/Document_ЗаказКлиента?$format={format}", simulator.url());
        let mut answer = reqwest::get(url).await?.error_for_status()?;
        let mut file = File::create(folder.join(name))?;
        while let Some(chunk) = answer.chunk().await? {
            file.write_all(&chunk)?;
        }
    }
    Ok(())
}

/// As the connector does it: element by element, while the answer arrives.
fn ours_json(file: &str) -> Result<usize, Box<dyn Error>> {
    let (mut file, mut splitter, mut records) = (File::open(file)?, Splitter::default(), 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = file.read(&mut chunk)?;
        if length == 0 {
            splitter.finish()?;
            return Ok(records);
        }
        splitter.push(&chunk[..length], |element| {
            std::hint::black_box(fields(element)?);
            records += 1;
            Ok(())
        })?;
    }
}

/// The whole answer, then all of it as one value.
fn bare_json(file: &str) -> Result<usize, Box<dyn Error>> {
    let answer: Value = serde_json::from_slice(&std::fs::read(file)?)?;
    Ok(std::hint::black_box(&answer)["value"].as_array().map_or(0, Vec::len))
}

fn ours_atom(file: &str) -> Result<usize, Box<dyn Error>> {
    let (mut feed, mut records) = (Feed::new(BufReader::with_capacity(CHUNK, File::open(file)?)), 0);
    while let Some(item) = feed.next_item()? {
        std::hint::black_box(item);
        records += 1;
    }
    Ok(records)
}

/// Events and nothing else: no namespaces, no records.
fn bare_atom(file: &str) -> Result<usize, Box<dyn Error>> {
    let mut reader = quick_xml::Reader::from_reader(BufReader::with_capacity(CHUNK, File::open(file)?));
    let (mut buffer, mut records) = (Vec::new(), 0);
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer)? {
            quick_xml::events::Event::Eof => return Ok(records),
            quick_xml::events::Event::Start(element) if element.name().as_ref() == b"entry" => records += 1,
            event => drop(std::hint::black_box(event)),
        }
    }
}
