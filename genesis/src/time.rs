//! Calendar dates of the document and milliseconds of the ledger, in the proleptic Gregorian calendar.
use quorate_primitives::numbers::Timestamp;
use toml::value::{Date, Datetime, Offset, Time};

const MS_PER_DAY: u64 = 86_400_000;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_EPOCH: u64 = 719_468;
const DAYS_PER_ERA: u64 = 146_097;
/// Last millisecond of the year 9999, the last that the notation can show.
pub(crate) const TIME_MAX: Timestamp = Timestamp::new(253_402_300_799_999);

/// The moment of a date with time and offset, whole milliseconds since 1970; `None` for a date without
/// one of these, before 1970, or finer than a millisecond.
pub(crate) fn from_datetime(value: &Datetime) -> Option<Timestamp> {
    let (date, time, offset) = (value.date?, value.time?, value.offset?);
    let nanoseconds = time.nanosecond.unwrap_or(0);
    if nanoseconds % 1_000_000 != 0 || time.second.unwrap_or(0) > 59 {
        return None;
    }
    let minutes = u64::from(time.hour).checked_mul(60)?.checked_add(u64::from(time.minute))?;
    let seconds = minutes.checked_mul(60)?.checked_add(u64::from(time.second.unwrap_or(0)))?;
    let within = seconds.checked_mul(1_000)?.checked_add(u64::from(nanoseconds / 1_000_000))?;
    let local = days_since_epoch(date)?.checked_mul(MS_PER_DAY)?.checked_add(within)?;
    let minutes_east = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    local.checked_add_signed(minutes_east.checked_mul(-60_000)?).map(Timestamp::new)
}

/// Source: the civil calendar algorithms of H. Hinnant; the year begins in March, so that the leap day
/// is its last.
fn days_since_epoch(date: Date) -> Option<u64> {
    let month = u64::from(date.month);
    let year = u64::from(date.year).checked_sub(u64::from(month <= 2))?;
    let era = year / 400;
    let year_of_era = year % 400;
    let month_from_march = month.checked_add(9)? % 12;
    let day_of_year = month_from_march.checked_mul(153)?.checked_add(2)? / 5;
    let day_of_year = day_of_year.checked_add(u64::from(date.day))?.checked_sub(1)?;
    let leaps = (year_of_era / 4).checked_sub(year_of_era / 100)?;
    let day_of_era = year_of_era.checked_mul(365)?.checked_add(leaps)?.checked_add(day_of_year)?;
    era.checked_mul(DAYS_PER_ERA)?.checked_add(day_of_era)?.checked_sub(DAYS_BEFORE_EPOCH)
}

/// The notation of a moment, such as `2026-11-20T12:00:00.5Z`; moments after the year 9999 become its
/// last.
pub(crate) fn to_text(time: Timestamp) -> String {
    let time = time.min(TIME_MAX).get();
    let (days, within) = (time / MS_PER_DAY, time % MS_PER_DAY);
    let number = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
    let nanosecond = u32::try_from(within % 1_000).unwrap_or(0).saturating_mul(1_000_000);
    let time = Time {
        hour: number(within / 3_600_000),
        minute: number(within / 60_000 % 60),
        second: Some(number(within / 1_000 % 60)),
        nanosecond: (nanosecond > 0).then_some(nanosecond),
    };
    Datetime { date: Some(date_of(days)), time: Some(time), offset: Some(Offset::Z) }.to_string()
}

fn date_of(days: u64) -> Date {
    let days = days.saturating_add(DAYS_BEFORE_EPOCH);
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let whole_years = day_of_era
        .saturating_sub(day_of_era / 1_460)
        .saturating_add(day_of_era / 36_524)
        .saturating_sub(day_of_era / 146_096);
    let year_of_era = whole_years / 365;
    let before =
        year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(before);
    let month_from_march = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = day_of_year
        .saturating_sub(month_from_march.saturating_mul(153).saturating_add(2) / 5)
        .saturating_add(1);
    let month = if month_from_march < 10 {
        month_from_march.saturating_add(3)
    } else {
        month_from_march.saturating_sub(9)
    };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(u64::from(month <= 2));
    Date {
        year: u16::try_from(year).unwrap_or(u16::MAX),
        month: u8::try_from(month).unwrap_or(u8::MAX),
        day: u8::try_from(day).unwrap_or(u8::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::{TIME_MAX, from_datetime, to_text};
    use quorate_primitives::numbers::Timestamp;
    use toml::value::Datetime;

    fn read(text: &str) -> Option<u64> {
        from_datetime(&text.parse::<Datetime>().unwrap()).map(Timestamp::get)
    }

    #[test]
    fn reads_moments_that_were_worked_out_elsewhere() {
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2000-02-29T12:00:00.25Z"), Some(951_825_600_250));
        assert_eq!(read("2026-11-20T12:55:00Z"), Some(1_795_179_300_000));
        assert_eq!(read("2026-11-20T13:55:00+01:00"), Some(1_795_179_300_000));
        assert_eq!(read("9999-12-31T23:59:59.999Z"), Some(TIME_MAX.get()));
    }

    #[test]
    fn refuses_what_is_no_whole_millisecond_since_1970() {
        for text in ["1969-12-31T23:59:59Z", "2026-11-20T12:55:00.0001Z", "2026-11-20T12:55:00", "2026-11-20"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn writes_what_it_reads_for_every_day_of_four_centuries() {
        for day in 0..146_097_u64 {
            let time = Timestamp::new(day * 86_400_000 + day % 86_400_000);
            assert_eq!(read(&to_text(time)), Some(time.get()));
        }
        assert_eq!(to_text(TIME_MAX), "9999-12-31T23:59:59.999Z");
    }
}
