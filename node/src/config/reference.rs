//! The commented reference of every key, generated from the list that the reader uses.
use std::fmt::Write;

use super::settings::{Kind, Preset, SETTINGS, Setting};

/// A complete configuration file in which every key stands at its default, with its meaning, what it
/// accepts and the variable that overrides it.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration of a Quorate node. Every key may be left out; the values below are the defaults.\n\
         # A variable of the environment wins over this file, and a flag `--set KEY=VALUE` over both.\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let (own, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if own != section {
            section = own;
            // Writing to a String cannot fail.
            let _ = write!(text, "\n[{section}]\n");
        }
        let _ = write!(text, "{}", entry(setting, name));
    }
    text
}

fn entry(setting: &Setting, name: &str) -> String {
    let mut text = String::from("\n");
    for line in setting.description.lines() {
        let _ = writeln!(text, "# {}", line.trim());
    }
    let _ = writeln!(text, "# Allowed: {}. Variable: {}", setting.kind.allowed(), setting.variable());
    let _ = writeln!(text, "{name} = {}", preset(setting));
    text
}

fn preset(setting: &Setting) -> String {
    match (setting.preset, setting.kind) {
        (Preset::Text(text), _) => format!("{text:?}"),
        (Preset::Number(number), Kind::Number { .. }) => number.to_string(),
        (Preset::Number(number), _) => format!("\"{number}\""),
        (Preset::Flag(flag), _) => flag.to_string(),
        (Preset::Empty, _) => "[]".to_owned(),
    }
}
