//! A home of its own for each test, and the wallet run in it as a process.
use quorate_keystore::{Home, KeyFile, KeyName, NetworkFile, NetworkName, Protection};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

use super::world::{ADMINS, PEOPLE, World, person};

/// A wallet with the test keys of everybody and one pinned network.
pub(crate) struct Wallet {
    folder: TempDir,
    urls: Vec<String>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) messages: String,
}

impl Run {
    /// What was written, if the run ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.exit, 0, "{self:?}");
        self.out
    }

    /// The one line of the error, if the run ended with this code.
    #[track_caller]
    pub(crate) fn failed(self, exit: i32) -> String {
        assert_eq!(self.exit, exit, "{self:?}");
        let errors: Vec<&str> = self.messages.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "one line says what is wrong: {self:?}");
        errors[0].to_owned()
    }

    /// The JSON that was written.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Wallet {
    /// A home that has the world pinned, whose nodes answer at these urls.
    pub(crate) fn new(world: &World, urls: &[&str]) -> Self {
        let wallet = Self::empty();
        let home = wallet.home();
        for name in PEOPLE {
            let name = KeyName::new(name).unwrap();
            let key = KeyFile::seal(&name, &person(name.as_str()), None, Protection::TestKey).unwrap();
            home.add_key(&key).unwrap();
        }
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        let file = NetworkFile::new(urls.clone(), world.genesis.hash()).unwrap();
        let name = NetworkName::new("test").unwrap();
        home.add_network(&name, &world.toml, &file).unwrap();
        home.use_network(&name).unwrap();
        Self { urls, ..wallet }
    }

    /// The same with the test keys of the administrators too.
    pub(crate) fn of_administrators(world: &World, urls: &[&str]) -> Self {
        let wallet = Self::new(world, urls);
        for name in ADMINS {
            let name = KeyName::new(name).unwrap();
            let key = KeyFile::seal(&name, &person(name.as_str()), None, Protection::TestKey).unwrap();
            wallet.home().add_key(&key).unwrap();
        }
        wallet
    }

    /// Where the wallet remembers the newest epoch.
    pub(crate) fn epoch_file(&self) -> PathBuf {
        self.home().epoch_path(&NetworkName::new("test").unwrap())
    }

    /// Where the wallet remembers the highest block.
    pub(crate) fn height_file(&self) -> PathBuf {
        self.home().verified_path(&NetworkName::new("test").unwrap())
    }

    /// A home that does not exist yet.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), urls: Vec::new() }
    }

    pub(crate) fn home(&self) -> Home {
        Home::new(self.folder.path().join("home"))
    }

    /// A file beside the home.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The url that the wallet asks first.
    pub(crate) fn url(&self) -> &str {
        &self.urls[0]
    }

    /// Runs the wallet with these words; standard input is empty and no terminal.
    pub(crate) fn run(&self, words: &[&str]) -> Run {
        let output = self.command(words).stdin(Stdio::null()).output().unwrap();
        Run::of(&output)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-wallet"));
        command.arg("--home").arg(self.folder.path().join("home")).args(words).env_remove("QUORATE_HOME");
        command
    }

    /// Everything that is in the home, as paths and contents.
    pub(crate) fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut open = vec![self.folder.path().join("home")];
        let mut found = Vec::new();
        while let Some(folder) = open.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    open.push(path)
                } else {
                    found.push((path.clone(), std::fs::read(path).unwrap()))
                }
            }
        }
        found.sort();
        found
    }
}

impl Run {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            exit: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            messages: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}
