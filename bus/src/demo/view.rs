//! The demo's live view: streams, rates, what waits and what arrived, redrawn in place; plain lines where there is no
//! terminal.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

use bus_config::Landscape;
use chrono_tz::Tz;
use crossterm::style::Stylize;
use crossterm::{cursor, execute, queue, terminal};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::server::{App, Status, gather};
use crate::shown;

/// What a line about an incident begins with; it is red.
const MARK: &str = "! ";
/// Rates are drawn over this many refreshes.
const HISTORY: usize = 24;
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws to standard output; leaves the terminal as it was when closed or dropped.
pub struct View {
    live: bool,
    silent: bool,
    address: SocketAddr,
    zone: Tz,
    streams: Vec<String>,
    started: Instant,
    rates: HashMap<String, Rate>,
    last_line: Option<Instant>,
}

#[derive(Default)]
struct Rate {
    last: Option<(Instant, u64)>,
    history: Vec<f64>,
}

impl View {
    /// `live`: redraw in place; `silent`: draw nothing.
    pub fn new(live: bool, silent: bool, address: SocketAddr, landscape: &Landscape) -> Self {
        if live {
            // A terminal that refuses this still shows the text.
            let _ = execute!(std::io::stdout(), terminal::EnterAlternateScreen, cursor::Hide);
        }
        let streams = landscape.streams.iter().map(|stream| stream.name.to_string()).collect();
        let zone = landscape.bus.timezone;
        Self { live, silent, address, zone, streams, started: Instant::now(), rates: HashMap::new(), last_line: None }
    }

    /// One refresh.
    pub async fn draw(&mut self, app: &App, phase: &str) {
        if self.silent {
            return;
        }
        let status = gather(app).await;
        if !self.live {
            return self.plain(&status);
        }
        let width = terminal::size().map_or(80, |(columns, _)| usize::from(columns));
        let lines = self.lines(app, &status, phase);
        let mut out = std::io::stdout().lock();
        let _ = queue!(out, cursor::MoveTo(0, 0));
        for line in lines {
            let line = cut(&shown::line(&line, self.zone), width);
            let line = if line.starts_with(MARK) { line.red().to_string() } else { line };
            let _ = writeln!(out, "{line}\x1b[K\r");
        }
        let _ = queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown));
        let _ = out.flush();
    }

    /// Gives the terminal back.
    pub fn close(&mut self) {
        if std::mem::take(&mut self.live) {
            let _ = execute!(std::io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        }
    }

    fn plain(&mut self, status: &Status) {
        if self.last_line.is_some_and(|at| at.elapsed().as_secs() < 5) {
            return;
        }
        self.last_line = Some(Instant::now());
        for route in &status.routes {
            println!(
                "{:>4} s  {}: delivered {}, queued {}, waiting {}, dead {}",
                self.started.elapsed().as_secs(),
                route.name,
                route.delivered,
                route.queued.unwrap_or(0),
                route.waiting,
                route.dead
            );
        }
    }

    fn lines(&mut self, app: &App, status: &Status, phase: &str) -> Vec<String> {
        let seconds = self.started.elapsed().as_secs();
        let names =
            self.streams.iter().map(String::as_str).chain(status.routes.iter().map(|route| route.name.as_str()));
        let width =
            names.chain(status.systems.iter().map(|system| system.name.as_str())).map(|name| name.width()).max();
        let width = width.unwrap_or(0) + 2;
        let mut lines = vec![
            format!("Entity Bus demo · {seconds} s · {phase} · Ctrl-C ends"),
            String::new(),
            format!("{}{:>8}{:>11}{:>8}  rate", padded("stream", width), "read", "published", "per s"),
        ];
        for stream in self.streams.clone() {
            let counter = |counter: &prometheus::IntCounterVec| counter.with_label_values(&[stream.as_str()]).get();
            let (read, published) = (counter(&app.metrics.read), counter(&app.metrics.published));
            let (rate, bars) = self.rate(&format!("stream {stream}"), published);
            lines.push(format!("{}{read:>8}{published:>11}{rate:>8.1}  {bars}", padded(&stream, width)));
        }
        lines.push(String::new());
        lines.push(format!(
            "{}{:>8}{:>11}{:>8}{:>9}{:>6}  rate",
            padded("route", width),
            "queued",
            "delivered",
            "per s",
            "waiting",
            "dead"
        ));
        for route in &status.routes {
            let (rate, bars) = self.rate(&format!("route {}", route.name), route.delivered);
            lines.push(format!(
                "{}{:>8}{:>11}{rate:>8.1}{:>9}{:>6}  {bars}",
                padded(&route.name, width),
                route.queued.unwrap_or(0),
                route.delivered,
                route.waiting,
                route.dead
            ));
        }
        lines.push(String::new());
        for system in &status.systems {
            lines.push(format!("{}{}", padded(&system.name, width), system.gate));
        }
        for incident in &status.incidents {
            lines.push(format!("{MARK}{} {}: {}", incident.kind, incident.subject, incident.message));
        }
        lines.push(String::new());
        lines.push(format!("metrics: curl http://{}/metrics     status: curl http://{0}/status", self.address));
        lines.push(format!("dead letters: curl http://{}/dead", self.address));
        lines
    }

    /// The rate since the last refresh and a picture of the last ones.
    fn rate(&mut self, name: &str, count: u64) -> (f64, String) {
        let rate = self.rates.entry(name.to_owned()).or_default();
        let now = Instant::now();
        let current = match rate.last {
            Some((at, before)) => count.saturating_sub(before) as f64 / (now - at).as_secs_f64().max(0.001),
            None => 0.0,
        };
        rate.last = Some((now, count));
        rate.history.push(current);
        if rate.history.len() > HISTORY {
            rate.history.remove(0);
        }
        let top = rate.history.iter().copied().fold(1.0, f64::max);
        let bar = |value: &f64| BARS[((value / top * 8.0).round() as usize).min(8)];
        let recent = rate.history.iter().rev().take(4);
        let mean = recent.clone().sum::<f64>() / recent.count().max(1) as f64;
        (mean, rate.history.iter().map(bar).collect())
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.close();
    }
}

/// A name in a column so wide, whatever its script.
fn padded(name: &str, width: usize) -> String {
    format!("{name}{}", " ".repeat(width.saturating_sub(name.width())))
}

/// Cuts a line to the terminal's width, wide characters counted as two. Colours come after it.
fn cut(line: &str, width: usize) -> String {
    if line.width() <= width {
        return line.to_owned();
    }
    let mut used = 0;
    line.chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{cut, padded};
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn a_line_never_exceeds_the_terminal() {
        assert_eq!(cut("заказы", 3), "зак");
        assert_eq!(cut("заказы", 6), "заказы");
        assert_eq!(cut("中文字", 5), "中文");
        assert_eq!(cut("! недоступно", 4), "! не", "an incident too, however narrow");
    }

    #[test]
    fn columns_stand_under_each_other_in_any_script() {
        for name in ["orders", "заказы-в-магазин", "中文", "a-name-that-is-wider-than-the-column"] {
            assert_eq!(padded(name, 20).width(), name.width().max(20), "{name}");
        }
    }
}
