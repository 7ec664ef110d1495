//! One log line: Envoy's default text format as Istio configures it (`accessLogFormat` unset).
//!
//! Runs on worker threads, so numbers and addresses are written without `std::fmt`. What a stranger
//! sent is escaped: a line stays one line, a quoted field stays one field.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use time::OffsetDateTime;
use weft_model::{decision::Cluster, outcome::ResponseFlag};

use crate::dataplane::event::{ConnectionInfo, HttpVersion, Reporter, RequestEvent, TcpClosed};

/// Longest value printed of one field, so that a line is bounded; the rest becomes `...`.
pub(crate) const MAX_FIELD_BYTES: usize = 2_048;

/// Writes the line of an HTTP request, without a line end.
pub(crate) fn http(out: &mut String, event: &RequestEvent) {
    let mut line = Line(out);
    line.start(event.started);
    line.0.push_str(" \"");
    line.escaped(&event.method, Field::Quoted);
    line.0.push(' ');
    line.escaped(&event.path, Field::Quoted);
    line.0.push_str(match event.version {
        HttpVersion::Http10 => " HTTP/1.0\" ",
        HttpVersion::Http11 => " HTTP/1.1\" ",
        HttpVersion::Http2 => " HTTP/2\" ",
    });
    line.number(event.status.into());
    line.flags(&event.flags);
    line.bare(&event.details);
    line.bare(""); // connection termination details: TCP only
    line.quoted(&event.upstream_failure);
    line.sizes(event.body_received, event.body_sent, event.duration);
    line.0.push(' ');
    match event.upstream_time {
        Some(time) => line.number(millis(time)),
        None => line.0.push('-'),
    }
    for field in [&event.forwarded_for, &event.user_agent, &event.request_id, &event.authority] {
        line.quoted(field);
    }
    line.connection(&event.connection, &event.flags);
    line.bare(&event.route);
}

/// Writes the line of a TCP connection, without a line end.
pub(crate) fn tcp(out: &mut String, event: &TcpClosed) {
    let mut line = Line(out);
    line.start(event.started);
    line.0.push_str(" \"- - -\" 0");
    line.flags(&event.flags);
    line.bare(""); // response code details: HTTP only
    // Envoy's network RBAC filter reports here, not among the response code details.
    line.bare(&event.details);
    line.quoted(&event.upstream_failure);
    line.sizes(event.total.0, event.total.1, event.duration);
    line.0.push_str(" - \"-\" \"-\" \"-\" \"-\"");
    line.connection(&event.connection, &event.flags);
    line.bare("");
}

/// How a field is told from the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    /// By quotes.
    Quoted,
    /// By spaces.
    Bare,
}

struct Line<'a>(&'a mut String);

impl Line<'_> {
    /// `[%START_TIME%]`: ISO 8601 in UTC with milliseconds.
    fn start(&mut self, started: SystemTime) {
        let at = OffsetDateTime::from(started);
        self.0.push('[');
        self.digits(at.year().unsigned_abs(), 4);
        for (before, value) in
            [('-', u8::from(at.month())), ('-', at.day()), ('T', at.hour()), (':', at.minute()), (':', at.second())]
        {
            self.0.push(before);
            self.digits(value.into(), 2);
        }
        self.0.push('.');
        self.digits(at.millisecond().into(), 3);
        self.0.push_str("Z]");
    }

    fn digits(&mut self, value: u32, width: u32) {
        for place in (0..width).rev() {
            self.0.push(char::from(b'0' + (value / 10_u32.pow(place) % 10) as u8));
        }
    }

    fn number(&mut self, mut value: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        // Digits are ASCII, so this cannot fail.
        self.0.push_str(std::str::from_utf8(&digits[at..]).unwrap_or("?"));
    }

    fn flags(&mut self, flags: &[ResponseFlag]) {
        for (at, flag) in flags.iter().enumerate() {
            self.0.push(if at == 0 { ' ' } else { ',' });
            self.0.push_str(flag.code());
        }
        if flags.is_empty() {
            self.0.push_str(" -");
        }
    }

    fn sizes(&mut self, received: u64, sent: u64, duration: Duration) {
        for value in [received, sent, millis(duration)] {
            self.0.push(' ');
            self.number(value);
        }
    }

    fn quoted(&mut self, value: &str) {
        self.0.push_str(" \"");
        if value.is_empty() {
            self.0.push('-');
        } else {
            self.escaped(value, Field::Quoted);
        }
        self.0.push('"');
    }

    fn bare(&mut self, value: &str) {
        self.0.push(' ');
        if value.is_empty() {
            self.0.push('-');
        } else {
            self.escaped(value, Field::Bare);
        }
    }

    /// `"%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS%
    /// %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME%`
    fn connection(&mut self, connection: &ConnectionInfo, flags: &[ResponseFlag]) {
        self.0.push_str(" \"");
        self.address(connection.upstream_remote);
        self.0.push_str("\" ");
        self.cluster(connection, flags);
        let addresses =
            [connection.upstream_local, Some(connection.downstream_local), Some(connection.downstream_remote)];
        for address in addresses {
            self.0.push(' ');
            self.address(address);
        }
        self.bare(connection.sni.as_deref().unwrap_or(""));
    }

    fn cluster(&mut self, connection: &ConnectionInfo, flags: &[ResponseFlag]) {
        let port = connection.downstream_local.port();
        match (connection.reporter, &connection.cluster) {
            (_, None) => self.0.push('-'),
            // No route means no cluster, whatever the client meant.
            _ if flags.contains(&ResponseFlag::NoRoute) => self.0.push('-'),
            (Reporter::Source, Some(Cluster::Service { service, port, subset })) => {
                self.outbound(*port, subset.as_deref().unwrap_or(""), &service.host);
            }
            (Reporter::Source, Some(Cluster::Unknown(host))) => self.outbound(port, "", host),
            (Reporter::Source, Some(Cluster::Passthrough | Cluster::Pod(_))) => self.0.push_str("PassthroughCluster"),
            (_, Some(Cluster::BlackHole)) => self.0.push_str("BlackHoleCluster"),
            (Reporter::Destination, Some(Cluster::Service { .. })) => {
                self.0.push_str("inbound|");
                self.number(port.into());
                self.0.push_str("||");
            }
            (Reporter::Destination, Some(Cluster::Passthrough | Cluster::Pod(_) | Cluster::Unknown(_))) => {
                self.0.push_str("InboundPassthroughCluster");
            }
        }
    }

    fn outbound(&mut self, port: u16, subset: &str, host: &str) {
        self.0.push_str("outbound|");
        self.number(port.into());
        self.0.push('|');
        self.escaped(subset, Field::Bare);
        self.0.push('|');
        self.escaped(host, Field::Bare);
    }

    fn address(&mut self, address: Option<SocketAddr>) {
        match address {
            None => self.0.push('-'),
            Some(address) => {
                match address.ip().to_canonical() {
                    IpAddr::V4(ip) => {
                        for (at, octet) in ip.octets().into_iter().enumerate() {
                            if at > 0 {
                                self.0.push('.');
                            }
                            self.number(octet.into());
                        }
                    }
                    // Writing to a String cannot fail.
                    IpAddr::V6(ip) => drop(write!(self.0, "[{ip}]")),
                }
                self.0.push(':');
                self.number(address.port().into());
            }
        }
    }

    fn escaped(&mut self, value: &str, field: Field) {
        let shown = super::super::labels::truncate(value, MAX_FIELD_BYTES);
        let harmless = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if shown.bytes().all(|byte| harmless(byte) || (byte == b' ' && field == Field::Quoted)) {
            self.0.push_str(shown);
        } else {
            shown.chars().for_each(|character| self.escaped_character(character, field));
        }
        if shown.len() < value.len() {
            self.0.push_str("...");
        }
    }

    fn escaped_character(&mut self, character: char, field: Field) {
        let splits = field == Field::Bare && character.is_whitespace();
        // Line separators and direction overrides are no control characters to Unicode, and still
        // change what a terminal shows.
        let misleads = matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        match character {
            '"' => self.0.push_str("\\\""),
            '\\' => self.0.push_str("\\\\"),
            // Writing to a String cannot fail.
            unsafe_one if unsafe_one.is_control() || splits || misleads => match u32::from(unsafe_one) {
                byte @ ..=0x7f => drop(write!(self.0, "\\x{byte:02x}")),
                other => drop(write!(self.0, "\\u{{{other:x}}}")),
            },
            plain => self.0.push(plain),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
