//! The known name that a mistyped one was probably meant to be.

/// Largest number of single-letter edits at which a suggestion still helps.
const EDITS_MAX: usize = 4;

/// The name among `known` that is fewest edits away from `found`, if any is near.
pub(super) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|name| (distance(found, name), name));
    let (edits, name) = scored.min_by_key(|(edits, _)| *edits)?;
    (edits <= EDITS_MAX.min(found.chars().count())).then_some(name)
}

/// Insertions, deletions and replacements that turn one text into the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut previous: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = previous[column] + usize::from(letter != *other);
            current.push(replaced.min(previous[column + 1] + 1).min(current[column] + 1));
        }
        previous = current;
    }
    previous[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_closest_name_and_nothing_for_a_stranger() {
        assert_eq!(nearest("rpc.lisen", ["rpc.listen", "network.listen"]), Some("rpc.listen"));
        assert_eq!(nearest("dats_dir", ["data_dir", "key_file"]), Some("data_dir"));
        assert_eq!(nearest("colour_of_the_moon", ["data_dir", "key_file"]), None);
    }
}
