//! From the text of a configuration file to checked values that know where they came from.
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use quorate_primitives::PublicKey;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::nearest::nearest;
use super::settings::{Kind, SETTINGS, Setting, VARIABLE_PREFIX};
use super::{ConfigError, PeerAddress};
use crate::io::net::LISTED_MAX;

/// Longest path in bytes.
const PATH_BYTES_MAX: usize = 4_096;

/// Longest host name in bytes. Source: RFC 1035, 2.3.4.
const HOST_BYTES_MAX: usize = 253;

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the configuration file.
    Line {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// In a variable of the environment.
    Variable(String),
    /// On the command line.
    Flag,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag => f.write_str("flag --set"),
        }
    }
}

/// A value that its key accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Socket(SocketAddr),
    Peers(Vec<PeerAddress>),
    Keys(Vec<PublicKey>),
    Hosts(Vec<String>),
    Flag(bool),
    Number(u64),
}

/// Values by key, each with the place it came from.
pub(super) type Values = BTreeMap<&'static str, (Value, Place)>;

/// A value as written, before its key has looked at it.
pub(super) enum Written {
    Text(String),
    List(Vec<String>),
    /// Anything that is not text or list, as it stands there.
    Bare(String),
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{:?}", cut(text)),
            Self::List(items) => write!(f, "{}", cut(&format!("{items:?}"))),
            Self::Bare(text) => f.write_str(&cut(text)),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Reads the file's text into `values`.
pub(super) fn read_document(
    path: &std::path::Path,
    text: &str,
    values: &mut Values,
) -> Result<(), ConfigError> {
    let line_of = |position: usize| 1 + text.bytes().take(position).filter(|byte| *byte == b'\n').count();
    let place = |position: usize| Place::Line { path: path.to_owned(), line: line_of(position) };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        place: place(error.span().map_or(0, |span| span.start)),
        reason: error.message().replace('\n', "; "),
    })?;
    for (name, value) in table.get_ref() {
        let at = place(name.span().start);
        let is_section = SETTINGS.iter().any(|setting| setting.key.split('.').next() == Some(name.get_ref()));
        match value.get_ref() {
            DeValue::Table(section) if is_section && Setting::by_key(name.get_ref()).is_none() => {
                for (inner, value) in section {
                    let key = format!("{}.{}", name.get_ref(), inner.get_ref());
                    insert(&key, &written(value, text), place(inner.span().start), values)?;
                }
            }
            _ => insert(name.get_ref(), &written(value, text), at, values)?,
        }
    }
    Ok(())
}

fn written(value: &Spanned<DeValue<'_>>, text: &str) -> Written {
    let bare = || Written::Bare(text.get(value.span()).unwrap_or("?").replace('\n', " "));
    match value.get_ref() {
        DeValue::String(found) => Written::Text(found.to_string()),
        DeValue::Array(items) => texts(items).map_or_else(bare, Written::List),
        _ => bare(),
    }
}

fn texts(items: &DeArray<'_>) -> Option<Vec<String>> {
    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
}

/// Takes a value that was given as plain text: by a variable or a flag. Lists are split at commas.
pub(super) fn insert_text(
    key: &str,
    text: &str,
    place: Place,
    values: &mut Values,
) -> Result<(), ConfigError> {
    let is_list = Setting::by_key(key)
        .is_some_and(|setting| matches!(setting.kind, Kind::Peers | Kind::Keys | Kind::Hosts));
    let written = if is_list {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Written::List(items.map(str::to_owned).collect())
    } else {
        Written::Text(text.to_owned())
    };
    match (Setting::by_key(key).map(|setting| setting.kind), &written) {
        (Some(Kind::Flag | Kind::Number { .. }), Written::Text(bare)) => {
            insert(key, &Written::Bare(bare.clone()), place, values)
        }
        _ => insert(key, &written, place, values),
    }
}

/// Takes every variable that overrides a key.
pub(super) fn insert_variables(
    variables: impl IntoIterator<Item = (String, String)>,
    values: &mut Values,
) -> Result<(), ConfigError> {
    for (name, text) in variables {
        let setting = SETTINGS.iter().find(|setting| setting.variable() == name);
        if let Some(setting) = setting.filter(|_| name.starts_with(VARIABLE_PREFIX)) {
            insert_text(setting.key, &text, Place::Variable(name), values)?;
        }
    }
    Ok(())
}

fn insert(key: &str, written: &Written, place: Place, values: &mut Values) -> Result<(), ConfigError> {
    let Some(setting) = Setting::by_key(key) else {
        let suggestion = nearest(key, SETTINGS.iter().map(|setting| setting.key)).map(str::to_owned);
        return Err(ConfigError::UnknownKey { place, key: cut(key), nearest: suggestion });
    };
    let value = check(setting.kind, written).ok_or_else(|| ConfigError::Value {
        place: place.clone(),
        key: setting.key,
        found: written.to_string(),
        allowed: setting.kind.allowed(),
    })?;
    values.insert(setting.key, (value, place));
    Ok(())
}

/// What the key makes of it, if it accepts it.
pub(super) fn check(kind: Kind, written: &Written) -> Option<Value> {
    match (kind, written) {
        (Kind::Path, Written::Text(text)) => {
            let fits = (1..=PATH_BYTES_MAX).contains(&text.len()) && !text.contains('\0');
            fits.then(|| Value::Text(text.clone()))
        }
        (Kind::PathOrNone, Written::Text(text)) => {
            (text.len() <= PATH_BYTES_MAX && !text.contains('\0')).then(|| Value::Text(text.clone()))
        }
        (Kind::Hosts, Written::List(items)) if items.len() <= LISTED_MAX => {
            items.iter().all(|item| is_host(item)).then(|| Value::Hosts(items.clone()))
        }
        (Kind::Choice(words), Written::Text(text)) => {
            words.contains(&text.as_str()).then(|| Value::Text(text.clone()))
        }
        (Kind::Socket, Written::Text(text)) => {
            text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0).map(Value::Socket)
        }
        (Kind::Multiaddr, Written::Text(text)) => parse_listen(text).map(Value::Socket),
        (Kind::Peers, Written::List(items)) if items.len() <= LISTED_MAX => {
            items.iter().map(|item| parse_peer(item)).collect::<Option<_>>().map(Value::Peers)
        }
        (Kind::Keys, Written::List(items)) if items.len() <= LISTED_MAX => {
            items.iter().map(|item| parse_key(item)).collect::<Option<_>>().map(Value::Keys)
        }
        (Kind::Flag, Written::Bare(text)) => text.parse().ok().map(Value::Flag),
        (Kind::Number { min, max }, Written::Bare(text)) => {
            let number = text.replace('_', "").parse::<u64>().ok()?;
            (min..=max).contains(&number).then_some(Value::Number(number))
        }
        _ => None,
    }
}

/// Host and TCP port of a multiaddr; the port is not zero.
fn parse_multiaddr(text: &str) -> Option<(String, u16)> {
    let address: Multiaddr = text.parse().ok()?;
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    let [host, Protocol::Tcp(port @ 1..)] = parts.as_slice() else {
        return None;
    };
    let host = match host {
        Protocol::Ip4(ip) => ip.to_string(),
        Protocol::Ip6(ip) => format!("[{ip}]"),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.to_string(),
        _ => return None,
    };
    Some((host, *port))
}

fn parse_listen(text: &str) -> Option<SocketAddr> {
    let (host, port) = parse_multiaddr(text)?;
    format!("{host}:{port}").parse().ok()
}

fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    (1..=HOST_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

fn parse_key(text: &str) -> Option<PublicKey> {
    text.parse::<PublicKey>().ok().filter(|key| key.check().is_ok())
}

fn parse_peer(text: &str) -> Option<PeerAddress> {
    let (key, address) = text.split_once('@')?;
    let (host, port) = parse_multiaddr(address)?;
    Some(PeerAddress { key: parse_key(key)?, address: format!("{host}:{port}") })
}
