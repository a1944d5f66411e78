//! Figures of runs, their medians, and how a report prints them.

use serde_json::{Map, Number, Value, json};

/// What one run of one program measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Messages per second, from the first arrival at the receiver to the last one.
    pub per_second: f64,
    /// CPU time of the program per message, in microseconds.
    pub cpu_us: f64,
    /// The same of the broker's process; 0 where it is part of the program.
    pub broker_cpu_us: f64,
    /// The same of the receiver.
    pub receiver_cpu_us: f64,
    /// The program's highest resident memory, in MiB.
    pub peak_mib: f64,
    /// Requests beyond one per document.
    pub repeats: u64,
}

/// The middle value; of an even number, the mean of the two in the middle. 0 for none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

/// A figure with so many digits after the point that it is not longer than its accuracy.
pub(super) fn number(value: f64, digits: usize) -> Value {
    let text = format!("{value:.digits$}");
    text.parse::<f64>().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

/// Medians over the runs of one program.
pub(super) fn medians(runs: &[Run]) -> Value {
    let of = |pick: fn(&Run) -> f64, digits| number(median(runs.iter().map(pick)), digits);
    json!({
        "messages_per_s": of(|run| run.per_second, 0),
        "cpu_us_per_message": of(|run| run.cpu_us, 1),
        "broker_cpu_us_per_message": of(|run| run.broker_cpu_us, 1),
        "receiver_cpu_us_per_message": of(|run| run.receiver_cpu_us, 1),
        "peak_memory_mib": of(|run| run.peak_mib, 1),
        "repeats": runs.iter().map(|run| run.repeats).sum::<u64>(),
        "runs_messages_per_s": runs.iter().map(|run| number(run.per_second, 0)).collect::<Vec<_>>(),
    })
}

/// What a benchmark found: names and figures in the order in which they are told.
#[derive(Debug, Default)]
pub(super) struct Report(Map<String, Value>);

impl Report {
    pub(super) fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// One line.
    pub(super) fn json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// A line per figure, for people.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        tell(&mut lines, 0, &self.0);
        lines.join("\n")
    }
}

fn tell(lines: &mut Vec<String>, depth: usize, figures: &Map<String, Value>) {
    let indent = "  ".repeat(depth);
    for (name, value) in figures {
        match value {
            Value::Object(inner) => {
                lines.push(format!("{indent}{name}"));
                tell(lines, depth + 1, inner);
            }
            value => lines.push(format!("{indent}{name:<width$} {value}", width = 30 - indent.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_runs() {
        for (values, expected) in [(vec![3.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0, 2.0, 3.0], 2.5), (vec![], 0.0)] {
            assert!((median(values) - expected).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn a_report_is_one_line_of_json_in_the_order_told() {
        let mut report = Report::default();
        report.add("ratio", number(0.912_345, 3));
        report.add("a", 1);
        assert_eq!(report.json(), r#"{"ratio":0.912,"a":1}"#);
        assert_eq!(report.text().lines().count(), 2);
    }
}
