//! `keys`: make, take over, show and hand out keys.
use quorate_keystore::files;
use quorate_keystore::{Cost, Home, KeyFile, KeyName, Protection};
use quorate_primitives::SecretKey;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::arguments::{KeysCommand, Settings};
use crate::failure::{Exit, Failure};
use crate::import;
use crate::network::{self, Network};
use crate::output::{Report, table};
use crate::secrets;

pub(super) fn execute(settings: &Settings, command: KeysCommand) -> Result<Report, Failure> {
    let home = network::home(settings)?;
    match command {
        KeysCommand::New { name, test_key } => add(settings, &home, &name, test_key, generate),
        KeysCommand::Import { name, from, test_key } => {
            add(settings, &home, &name, test_key, || import::parse(&secrets::read(&from)?, settings))
        }
        KeysCommand::List => list(settings, &home),
        KeysCommand::Show { name } => {
            let key = home.key(&name)?;
            Ok(Report::new(text(settings, &home, &key), fields(settings, &home, &key)))
        }
        KeysCommand::Export { name, to, secret } => {
            let key = home.key(&name)?;
            let content = if secret {
                let opened = secrets::open(&key, settings)?;
                Zeroizing::new(format!("{}\n", hex::encode(opened.expose_seed().as_ref())))
            } else {
                key.to_text()
            };
            files::create(&to, content.as_bytes())?;
            let shown = to.display().to_string();
            let what = if secret { "the bare secret" } else { "the key file" };
            Ok(Report::new(
                format!("wrote {what} of {name} to {shown}\n"),
                json!({ "name": name.as_str(), "file": shown, "secret": secret }),
            ))
        }
    }
}

fn generate() -> Result<SecretKey, Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    let lost =
        |error: rand::rngs::SysError| Failure::new(Exit::Internal, format_args!("no random bytes: {error}"));
    SysRng.try_fill_bytes(seed.as_mut()).map_err(lost)?;
    Ok(SecretKey::from_seed(&seed))
}

fn add(
    settings: &Settings,
    home: &Home,
    name: &KeyName,
    test_key: bool,
    secret: impl FnOnce() -> Result<SecretKey, Failure>,
) -> Result<Report, Failure> {
    let path = home.key_path(name);
    if path.exists() {
        // Said before anybody types a passphrase; creating the file checks it again.
        return Err(Failure::new(
            Exit::Key,
            format_args!("{}: exists already and is never overwritten", path.display()),
        ));
    }
    let secret = secret()?;
    let key = if test_key {
        KeyFile::seal(name, &secret, None, Protection::TestKey)?
    } else {
        let passphrase = secrets::choose(settings)?;
        KeyFile::seal(
            name,
            &secret,
            None,
            Protection::Passphrase { passphrase: &passphrase, cost: Cost::DEFAULT },
        )?
    };
    home.add_key(&key).map_err(|error| Failure::new(Exit::Key, error))?;
    Ok(Report::new(text(settings, home, &key), fields(settings, home, &key)))
}

/// The address of a key's account on the network in use, if there is one.
fn address(settings: &Settings, home: &Home, key: &KeyFile) -> Option<String> {
    Network::open(home, settings).ok().map(|network| network.address(key.account()))
}

fn mark(key: &KeyFile) -> &'static str {
    if key.is_test_key() { "test key, not encrypted, worthless" } else { "encrypted" }
}

fn text(settings: &Settings, home: &Home, key: &KeyFile) -> String {
    let mut lines = vec![
        format!("name        {}", key.name()),
        format!("kind        {}", mark(key)),
        format!("public key  {}", key.public_key()),
        format!("account     {}", key.account()),
    ];
    lines.extend(address(settings, home, key).map(|address| format!("address     {address}")));
    lines.push(format!("file        {}", home.key_path(key.name()).display()));
    lines.into_iter().map(|line| line + "\n").collect()
}

fn fields(settings: &Settings, home: &Home, key: &KeyFile) -> Value {
    json!({
        "name": key.name().as_str(),
        "test_key": key.is_test_key(),
        "public_key": key.public_key().to_string(),
        "account": key.account().to_string(),
        "address": address(settings, home, key),
        "file": home.key_path(key.name()).display().to_string(),
    })
}

fn list(settings: &Settings, home: &Home) -> Result<Report, Failure> {
    let names = home.key_names()?;
    let keys: Vec<KeyFile> = names.iter().map(|name| home.key(name)).collect::<Result<_, _>>()?;
    let network = Network::open(home, settings).ok();
    let shown = |key: &KeyFile| {
        network.as_ref().map_or_else(|| key.account().to_string(), |network| network.address(key.account()))
    };
    let rows: Vec<Vec<String>> =
        keys.iter().map(|key| vec![key.name().to_string(), shown(key), mark(key).to_owned()]).collect();
    let list: Vec<Value> = keys
        .iter()
        .map(|key| {
            json!({
                "name": key.name().as_str(),
                "test_key": key.is_test_key(),
                "public_key": key.public_key().to_string(),
                "account": key.account().to_string(),
                "address": network.as_ref().map(|network| network.address(key.account())),
            })
        })
        .collect();
    Ok(Report::new(table(&["name", "account", "kind"], &rows), json!({ "keys": list })).with_rows("keys"))
}
