//! Numbers that must not be confused with each other, with only the arithmetic that means something.
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use std::str::FromStr;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
        pub struct $name(u64);

        impl $name {
            /// The first value.
            pub const ZERO: $name = $name(0);
            /// The last value.
            pub const MAX: $name = $name(u64::MAX);

            /// Wraps a number.
            #[must_use]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The value after this one; stays at the last.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The value before this one, if there is one.
            #[must_use]
            pub fn previous(self) -> Option<Self> {
                self.0.checked_sub(1).map(Self)
            }

            /// This value plus a distance, or the last value.
            #[must_use]
            pub const fn saturating_add(self, distance: u64) -> Self {
                Self(self.0.saturating_add(distance))
            }

            /// This value minus a distance, or zero.
            #[must_use]
            pub const fn saturating_sub(self, distance: u64) -> Self {
                Self(self.0.saturating_sub(distance))
            }

            /// How far this value is above `earlier`; zero when it is not above.
            #[must_use]
            pub const fn distance_from(self, earlier: Self) -> u64 {
                self.0.saturating_sub(earlier.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

counter! {
    /// Position of a block in the chain; the genesis state is height 0, the first block height 1.
    Height
}
counter! {
    /// Turn of one leader; view 0 is the anchor of an epoch, the first turn is view 1.
    View
}
counter! {
    /// Validator-set period; the first is 0.
    EpochNumber
}
counter! {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp
}

/// A quantity in the smallest unit of an asset. Range: all of `u128`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Amount(u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);
    /// The largest amount.
    pub const MAX: Amount = Amount(u128::MAX);

    /// Wraps a number of smallest units.
    #[must_use]
    pub const fn new(units: u128) -> Self {
        Self(units)
    }

    /// Smallest units.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }

    /// The sum, unless it passes the largest amount.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, unless it is negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Parses a decimal number such as `12.50` into smallest units of an asset with `decimals`.
    ///
    /// # Errors
    /// [`AmountError`] for anything that is not a plain decimal number, has more digits after the
    /// point than the asset (no rounding), or does not fit.
    pub fn parse_decimal(text: &str, decimals: u8) -> Result<Self, AmountError> {
        let malformed = || AmountError::Malformed { found: text.chars().take(80).collect() };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let bare_point = text.contains('.') && fraction.is_empty();
        if whole.is_empty() || bare_point || !digits(whole) || !digits(fraction) {
            return Err(malformed());
        }
        let places = usize::from(decimals);
        if fraction.len() > places {
            return Err(AmountError::TooPrecise { found: fraction.len(), allowed: decimals });
        }
        let joined = format!("{whole}{fraction:0<places$}");
        joined.parse().map(Self).map_err(|_| AmountError::TooLarge)
    }

    /// The amount as a decimal number with all digits of the asset, such as `12.50`.
    #[must_use]
    pub fn to_decimal(self, decimals: u8) -> String {
        let places = usize::from(decimals);
        let digits = format!("{:0>width$}", self.0, width = places.saturating_add(1));
        let split = digits.len().saturating_sub(places);
        match digits.split_at_checked(split) {
            Some((whole, fraction)) if !fraction.is_empty() => format!("{whole}.{fraction}"),
            Some(_) | None => digits,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Amount {
    type Err = AmountError;
    fn from_str(text: &str) -> Result<Self, AmountError> {
        Self::parse_decimal(text, 0)
    }
}

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not digits with at most one point.
    #[error("expected a decimal number like 12.50, found {found:?}")]
    Malformed {
        /// What was given, cut to 80 characters.
        found: String,
    },
    /// More digits after the point than the asset has.
    #[error("{found} digits after the point, but the asset has {allowed}")]
    TooPrecise {
        /// Digits given after the point.
        found: usize,
        /// Digits the asset has.
        allowed: u8,
    },
    /// Above 2^128 − 1 smallest units.
    #[error("larger than any amount can be")]
    TooLarge,
}
