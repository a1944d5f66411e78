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
use unicode_width::UnicodeWidthStr;

use super::table::{Section, Table, bounded, cut, padded};
use crate::server::{App, Incident, Route, Status, System, gather};
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
        let (width, height) = terminal::size().map_or((80, 24), |(columns, rows)| (columns.into(), rows.into()));
        let streams: Vec<(String, u64, u64)> = self.streams.iter().map(|stream| counted(app, stream)).collect();
        // The end of the last line would push the first one out.
        let lines = self.page(&streams, &status, phase, width, usize::saturating_sub(height, 1));
        let mut out = std::io::stdout().lock();
        let _ = queue!(out, cursor::MoveTo(0, 0));
        for line in lines {
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

    /// At most so many lines, none wider than there is room. A stream: name, read, published.
    fn page(
        &mut self,
        streams: &[(String, u64, u64)],
        status: &Status,
        phase: &str,
        width: usize,
        height: usize,
    ) -> Vec<String> {
        let seconds = self.started.elapsed().as_secs();
        let title = vec![format!("Entity Bus demo · {seconds} s · {phase} · Ctrl-C ends")];
        let names = streams.iter().map(|(name, ..)| name).chain(status.routes.iter().map(|route| &route.name));
        let names = names.chain(status.systems.iter().map(|system| &system.name)).map(|name| name.width());
        let names = names.max().unwrap_or(0);
        let (streams, routes) = (self.streams(streams), self.routes(status));
        let system = |system: &System| format!("{}  {}", padded(&system.name, names), system.gate);
        let incident = |one: &Incident| format!("{MARK}{} {}: {}", one.kind, one.subject, one.message);
        let hints = vec![
            format!("metrics: curl http://{}/metrics     status: curl http://{0}/status", self.address),
            format!("dead letters: curl http://{}/dead", self.address),
        ];
        let sections = vec![
            Section { rank: 0, lines: title },
            Section { rank: 2, lines: streams.lines(width, names) },
            Section { rank: 0, lines: routes.lines(width, names) },
            Section { rank: 1, lines: status.systems.iter().map(system).collect() },
            Section { rank: 0, lines: status.incidents.iter().map(incident).collect() },
            Section { rank: 3, lines: hints },
        ];
        bounded(sections, height).iter().map(|line| cut(&shown::line(line, self.zone), width)).collect()
    }

    fn streams(&mut self, streams: &[(String, u64, u64)]) -> Table {
        let row = |(name, read, published): &(String, u64, u64)| {
            let (rate, bars) = self.rate(&format!("stream {name}"), *published);
            (name.clone(), vec![published.to_string(), read.to_string(), format!("{rate:.1}")], bars)
        };
        Table { what: "stream", heads: &["published", "read", "per s"], rows: streams.iter().map(row).collect() }
    }

    fn routes(&mut self, status: &Status) -> Table {
        let row = |route: &Route| {
            let (rate, bars) = self.rate(&format!("route {}", route.name), route.delivered);
            let queued = route.queued.map_or("?".to_owned(), |queued| queued.to_string());
            let counts = [route.waiting, route.dead, route.delivered].map(|count| count.to_string());
            let [waiting, dead, delivered] = counts;
            (route.name.clone(), vec![queued, waiting, dead, delivered, format!("{rate:.1}")], bars)
        };
        let heads = &["queued", "waiting", "dead", "delivered", "per s"];
        Table { what: "route", heads, rows: status.routes.iter().map(row).collect() }
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

/// A stream, how much of it was read, and how much published.
fn counted(app: &App, stream: &str) -> (String, u64, u64) {
    let count = |counter: &prometheus::IntCounterVec| counter.with_label_values(&[stream]).get();
    (stream.to_owned(), count(&app.metrics.read), count(&app.metrics.published))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ROUTES: [&str; 5] =
        ["заказы-на-склад", "products-to-warehouse", "products-to-shop", "цены-в-магазин", "остатки-в-магазин"];

    fn page(width: usize, height: usize) -> Vec<String> {
        let route = |name: &&str| {
            serde_json::json!({
                "name": name, "queued": 12345, "in_flight": 4, "waiting": 678, "oldest_waiting": null, "dead": 9,
                "delivered": 1_234_567, "skipped": 0, "paused": null, "last_error": null, "last_delivered": null,
            })
        };
        let incident = serde_json::json!({
            "kind": "system-down", "severity": "critical", "subject": "shop", "since": "", "count": 1, "remedy": "",
            "message": "склад не отвечает уже давно, и никто не знает почему", "routes": [], "places": [],
            "maintenance": false,
        });
        let status = serde_json::json!({
            "name": "demo", "config": null, "time": "", "ready": true, "broker": "connected", "feeds": [],
            "routes": ROUTES.iter().map(route).collect::<Vec<_>>(),
            "systems": [{ "name": "shop", "gate": "open", "pace": null }, { "name": "склад", "gate": "open", "pace": null }],
            "subscriptions": [], "incidents": [incident],
        });
        let status: Status = serde_json::from_value(status).unwrap();
        let streams = ["orders", "товары", "prices", "stock"].map(|name| (name.to_owned(), 2_000_000, 1_000_000));
        let mut view = View {
            live: false,
            silent: true,
            address: ([127, 0, 0, 1], 8080).into(),
            zone: Tz::UTC,
            streams: Vec::new(),
            started: Instant::now(),
            rates: HashMap::new(),
            last_line: None,
        };
        for _ in 0..HISTORY {
            view.page(&streams, &status, "changing", width, height);
        }
        view.page(&streams, &status, "changing", width, height)
    }

    /// The columns of the routes' table, and where the figures of its rows end.
    fn routes(page: &[String]) -> (Vec<String>, Vec<usize>) {
        let head = page.iter().position(|line| line.starts_with("route")).unwrap();
        let heads = page[head].split_whitespace().skip(1).map(str::to_owned).collect();
        let rows = &page[head + 1..=head + ROUTES.len()];
        let dead = |line: &String| line.rfind("     9").map(|at| line[..at].width());
        (heads, rows.iter().filter_map(dead).collect())
    }

    #[test]
    fn a_wide_terminal_shows_everything() {
        let page = page(100, 40);
        assert_eq!(routes(&page).0, ["queued", "waiting", "dead", "delivered", "per", "s", "rate"]);
        assert!(
            page.iter().any(|line| line.starts_with("dead letters: ")) && page.contains(&String::new()),
            "{page:#?}"
        );
        assert!(page.iter().any(|line| line.starts_with("products-to-warehouse ")), "{page:#?}");
    }

    #[test]
    fn what_waits_and_what_is_dead_is_shown_in_a_narrow_and_low_terminal() {
        for (width, height, heads) in
            [(50, 14, &["queued", "waiting", "dead", "delivered"][..]), (40, 9, &["queued", "waiting", "dead"])]
        {
            let page = page(width, height);
            let (shown, ends) = routes(&page);
            assert_eq!(shown, heads, "{page:#?}");
            assert_eq!(ends.len(), ROUTES.len(), "{page:#?}");
            assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "under each other in any script: {page:#?}");
            assert!(page.len() <= height, "{page:#?}");
            assert!(page.iter().all(|line| line.width() <= width), "{page:#?}");
            assert!(page.iter().any(|line| line.starts_with(MARK)), "an incident is not left out: {page:#?}");
        }
    }

    #[test]
    fn bars_are_shortened_before_a_figure_is_left_out() {
        let page = page(80, 40);
        assert_eq!(routes(&page).0.len(), 7, "{page:#?}");
        assert!(page.iter().filter(|line| line.starts_with("products")).all(|line| line.width() == 80), "{page:#?}");
    }
}
