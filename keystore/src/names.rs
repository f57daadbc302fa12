//! Names that users choose and that become names of files and folders.
use std::fmt;
use std::str::FromStr;

/// A name that does not follow its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {rule}, found {found:?}")]
pub struct NameError {
    /// The rule in words.
    pub rule: &'static str,
    /// What was given, cut to 80 characters.
    pub found: String,
}

/// Longest name. Short enough that no address and no id in hexadecimal is also a name.
pub const NAME_BYTES_MAX: usize = 32;

macro_rules! file_name {
    ($(#[$doc:meta])* $name:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// [`NameError`] with the rule and what was given.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
                let starts = text.bytes().next().is_some_and(letter);
                let allowed = |byte: u8| letter(byte) || byte == b'-' || byte == b'_';
                if !starts || text.len() > NAME_BYTES_MAX || !text.bytes().all(allowed) {
                    return Err(NameError { rule: $rule, found: text.chars().take(80).collect() });
                }
                Ok(Self(text.to_owned()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
    };
}

file_name! {
    /// Names a key, and the file `<name>.json` that holds it.
    ///
    /// Range: 1 to 32 lower-case letters, digits, `-` and `_`, starting with a letter or digit, so that
    /// it is a file name everywhere and differs from others on file systems that ignore case.
    KeyName,
    "a key name of 1 to 32 lower-case letters, digits, '-' and '_', starting with a letter or digit"
}
file_name! {
    /// Names a network, and the folder that holds what is pinned about it. Range: as [`KeyName`].
    NetworkName,
    "a network name of 1 to 32 lower-case letters, digits, '-' and '_', starting with a letter or digit"
}
