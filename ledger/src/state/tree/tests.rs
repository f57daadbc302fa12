//! Each tree against an ordered map, and its hash against that of its leaves alone.
use super::*;
use quorate_primitives::merkle::{Leaf, tree_root};
use quorate_primitives::state::value_hash;
use std::collections::{BTreeMap, BTreeSet};

type Model = BTreeMap<Path, u8>;

/// Here a key is its own path, so that paths can be chosen.
fn paths_of(keys: &[&[u8]]) -> Vec<Path> {
    keys.iter().map(|key| Path::from_bytes((*key).try_into().unwrap())).collect()
}

/// Paths that part at the first bit, at the last, within a byte, and at the middle.
fn paths() -> Vec<Path> {
    let with = |changes: &[(usize, u8)]| {
        let mut bytes = [0; 64];
        changes.iter().for_each(|(position, byte)| bytes[*position] = *byte);
        Path::from_bytes(bytes)
    };
    let mut paths = vec![
        with(&[]),
        with(&[(63, 1)]),
        with(&[(32, 0x80)]),
        with(&[(31, 1)]),
        with(&[(0, 0x80)]),
        with(&[(0, 0x80), (63, 3)]),
        with(&[(0, 0xff), (1, 0x10)]),
    ];
    paths.sort_unstable();
    paths
}

/// Paths in no order, a third of which share their first half.
fn scattered(number: u64) -> Path {
    let value = |salt: u8| value_hash(&[&number.to_le_bytes()[..], &[salt]].concat());
    let group = if number.is_multiple_of(3) { value_hash(&[9]) } else { value(1) };
    Path::from_halves(group.as_bytes(), value(2).as_bytes())
}

fn model(paths: &[Path], subset: u32, value: u8) -> Model {
    let chosen = (0..).zip(paths).filter(|(bit, _)| subset >> bit & 1 == 1);
    chosen.map(|(_, path)| (*path, value)).collect()
}

fn tree(model: &Model) -> Tree {
    let changes = model.iter().map(|(path, value)| (*path, Some(*value))).collect();
    update(&Tree::new(paths_of), &changes)
}

fn update(tree: &Tree, changes: &BTreeMap<Path, Option<u8>>) -> Tree {
    tree.update(changes.iter().map(|(path, value)| Change {
        path,
        key: path.as_bytes(),
        value: value.as_ref().map(std::slice::from_ref),
    }))
}

fn get(tree: &Tree, path: &Path) -> Option<u8> {
    tree.get(Place { path, key: path.as_bytes() }).map(|value| value[0])
}

fn root_of(model: &Model) -> Hash {
    let leaf = |(path, value): (&Path, &u8)| Leaf { path: *path, value: value_hash(&[*value]) };
    tree_root(&model.iter().map(leaf).collect::<Vec<_>>())
}

/// The tree holds exactly the model, every page has as many leaves as it may, and every hash that it keeps
/// is that of what lies below it.
fn check(tree: &Tree, model: &Model) {
    let expected =
        model.iter().map(|(path, value)| (path.as_bytes().as_slice(), std::slice::from_ref(value)));
    assert!(tree.iter().eq(expected));
    assert_eq!(tree.root(), root_of(model));
    if let Some(top) = tree.top() {
        check_subtree(&top);
    }
}

fn check_subtree(subtree: &Subtree<'_>) {
    if let Subtree::Run(page, _) = subtree {
        assert!((1..=page::PAGE_MAX).contains(&page.len()));
    }
    let leaves =
        subtree.iter().map(|(key, value)| Leaf { path: paths_of(&[key])[0], value: value_hash(value) });
    assert_eq!(subtree.hash(), tree_root(&leaves.collect::<Vec<_>>()));
    if let Some((_, left, right)) = subtree.divide() {
        check_subtree(&left);
        check_subtree(&right);
    }
}

#[test]
fn every_change_of_every_small_tree_gives_the_tree_of_what_is_left() {
    let paths = paths();
    for before in 0..1_u32 << paths.len() {
        let old = model(&paths, before, 1);
        let base = tree(&old);
        check(&base, &old);
        for touched in 0..1_u32 << paths.len() {
            // Of the touched paths, those that were there go and the others come; then all change.
            let toggled = before ^ touched;
            let mut expected = old.clone();
            let mut changes = BTreeMap::new();
            for (bit, path) in (0..).zip(&paths).filter(|(bit, _)| touched >> bit & 1 == 1) {
                if toggled >> bit & 1 == 1 {
                    expected.insert(*path, 2);
                    changes.insert(*path, Some(2));
                } else {
                    expected.remove(path);
                    changes.insert(*path, None);
                }
            }
            check(&update(&base, &changes), &expected);
            let overwrite = model(&paths, touched, 3);
            let changes = overwrite.iter().map(|(path, value)| (*path, Some(*value))).collect();
            let mut expected = old.clone();
            expected.extend(overwrite);
            check(&update(&base, &changes), &expected);
        }
        assert_eq!(base.root(), root_of(&old), "a later version changed an older one");
    }
}

#[test]
fn trees_that_grow_and_shrink_at_random_hold_what_an_ordered_map_holds() {
    for (seed, size) in [(1_u64, 40), (2, 300), (3, 3_000)] {
        let mut number = seed;
        let mut next = |limit: u64| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (number >> 33) % limit
        };
        let (mut tree, mut model) = (Tree::new(paths_of), Model::new());
        for round in 0..60 {
            // For a while more comes than goes, then the other way round, until hardly anything is left.
            let puts = if round < 30 { 3 } else { 1 };
            let mut changes = BTreeMap::new();
            for _ in 0..next(size) {
                let value = u8::try_from(next(200)).unwrap();
                changes.insert(scattered(next(size)), (next(5) < puts).then_some(value));
            }
            let before = (tree.clone(), model.clone());
            for (path, value) in &changes {
                match value {
                    Some(value) => model.insert(*path, *value),
                    None => model.remove(path),
                };
            }
            tree = update(&tree, &changes);
            check(&tree, &model);
            assert_eq!(before.0.root(), root_of(&before.1), "a later version changed an older one");
        }
    }
}

#[test]
fn more_changes_than_are_made_at_a_time_give_the_tree_of_what_is_left() {
    let count = 1_543;
    let mut expected: Model = (0..count).map(|number| (scattered(number), 1)).collect();
    let base = tree(&expected);
    check(&base, &expected);
    // Some go, some change, some come, and some were never there.
    let mut changes: BTreeMap<Path, Option<u8>> = BTreeMap::new();
    for number in 0..2 * count {
        match number % 4 {
            0 => changes.insert(scattered(number), None),
            1 => changes.insert(scattered(number), Some(2)),
            _ => None,
        };
    }
    assert!(changes.len() > 1_024, "one part is all there is");
    for (path, value) in &changes {
        match value {
            Some(value) => expected.insert(*path, *value),
            None => expected.remove(path),
        };
    }
    let after = update(&base, &changes);
    check(&after, &expected);
    let places: Vec<Place<'_>> = changes.keys().map(|path| Place { path, key: path.as_bytes() }).collect();
    let found = after.get_all(&places).into_iter().map(|found| found.map(|value| value[0]));
    assert!(found.eq(changes.values().copied()), "values read together are those that were put");
}

#[test]
fn a_tree_from_which_nearly_all_is_removed_has_few_pages() {
    let full: Model = (0..4_000).map(|number| (scattered(number), 1)).collect();
    let mut base = tree(&full);
    // One by one, so that no page is made anew for another reason.
    let mut left = full.clone();
    for path in full.keys().filter(|path| path.as_bytes()[63] % 16 != 0) {
        base = update(&base, &BTreeMap::from([(*path, None)]));
        left.remove(path);
    }
    check(&base, &left);
    fn pages(subtree: &Subtree<'_>) -> usize {
        match (subtree, subtree.divide()) {
            (Subtree::Inner(..), Some((_, left, right))) => pages(&left) + pages(&right),
            _ => 1,
        }
    }
    let pages = pages(&base.top().unwrap());
    assert!(pages * 3 < left.len(), "{pages} pages for {} leaves", left.len());
}

#[test]
fn removing_what_is_not_there_shares_the_whole_tree() {
    let paths = paths();
    for subset in 0..1_u32 << paths.len() {
        let base = tree(&model(&paths, subset, 1));
        let absent = model(&paths, !subset, 1);
        let same = update(&base, &absent.keys().map(|path| (*path, None)).collect());
        let is_shared = match (base.top(), same.top()) {
            (Some(Subtree::Run(old, _)), Some(Subtree::Run(new, _))) => {
                std::ptr::eq(old.bytes(), new.bytes())
            }
            (Some(Subtree::Inner(old, _)), Some(Subtree::Inner(new, _))) => std::ptr::eq(old, new),
            (None, None) => true,
            _ => false,
        };
        assert!(is_shared, "{subset:b}");
        assert_eq!(same.root(), base.root());
    }
}

#[test]
fn every_small_tree_finds_what_it_holds_and_nothing_else() {
    let paths = paths();
    for subset in 0..1_u32 << paths.len() {
        let expected = model(&paths, subset, 1);
        let tree = tree(&expected);
        for path in &paths {
            assert_eq!(get(&tree, path), expected.get(path).copied(), "{subset:b} {path:?}");
        }
    }
}

#[test]
fn a_sweep_takes_out_of_a_part_what_goes_and_nothing_else() {
    let full: Model = (0..3_000).map(|number| (scattered(number), (number % 5) as u8)).collect();
    let base = tree(&full);
    // A third of the leaves share their first half: parts as large as that, and of few leaves or none.
    let group = scattered(0);
    for (first, bits) in
        [(group, 256), (group, 9), (group, 0), (group, 512), (scattered(1), 9), (scattered(2), 4)]
    {
        for least in 0..=5 {
            let holds = |path: &Path| path.first_difference(&first).is_none_or(|bit| bit >= bits);
            let mut asked = BTreeSet::new();
            let swept = base.sweep(Prefix { first: &first, bits }, &mut |(key, value)| {
                asked.insert(paths_of(&[key])[0]);
                value[0] >= least
            });
            assert!(asked.iter().eq(full.keys().filter(|path| holds(path))), "{bits} bits");
            let left = full.iter().filter(|(path, value)| !holds(path) || **value < least);
            check(&swept, &left.map(|(path, value)| (*path, *value)).collect());
            check(&base, &full);
        }
    }
}

#[test]
fn any_sweep_of_a_small_tree_leaves_the_rest() {
    let paths = paths();
    for subset in 0..1_u32 << paths.len() {
        let base = tree(&model(&paths, subset, 1));
        for (first, bits) in
            paths.iter().flat_map(|first| [0, 1, 8, 9, 257, 505, 512].map(|bits| (first, bits)))
        {
            let holds = |path: &Path| path.first_difference(first).is_none_or(|bit| bit >= bits);
            let swept = base.sweep(Prefix { first, bits }, &mut |_| true);
            let mut left = model(&paths, subset, 1);
            left.retain(|path, _| !holds(path));
            check(&swept, &left);
        }
    }
}

#[test]
fn a_sweep_that_takes_nothing_shares_the_whole_tree() {
    let full: Model = (0..500).map(|number| (scattered(number), 1)).collect();
    let base = tree(&full);
    let swept = base.sweep(Prefix { first: &scattered(0), bits: 0 }, &mut |_| false);
    let (Some(Subtree::Inner(old, _)), Some(Subtree::Inner(new, _))) = (base.top(), swept.top()) else {
        panic!("one page is all there is");
    };
    assert!(std::ptr::eq(old, new));
}

#[test]
fn one_leaf_that_comes_to_a_page_or_changes_in_it_gives_the_tree_of_all() {
    for count in 1..=14 {
        for seed in 0..8 {
            let old: Model = (0..count).map(|number| (scattered(100 * seed + number), 1)).collect();
            let base = tree(&old);
            for number in 0..count {
                let path = scattered(100 * seed + number);
                let mut expected = old.clone();
                expected.insert(path, 2);
                check(&update(&base, &BTreeMap::from([(path, Some(2))])), &expected);
            }
            for number in 1_000..1_040 {
                let path = scattered(number);
                let mut expected = old.clone();
                expected.insert(path, 2);
                check(&update(&base, &BTreeMap::from([(path, Some(2))])), &expected);
            }
        }
    }
}

#[test]
fn values_of_other_lengths_take_the_place_of_those_that_were_there() {
    let value = |length: usize| vec![7; length];
    let paths: Vec<Path> = (0..9).map(scattered).collect::<BTreeSet<_>>().into_iter().collect();
    fn change<'a>(path: &'a Path, value: &'a [u8]) -> Change<'a> {
        Change { path, key: path.as_bytes(), value: Some(value) }
    }
    let first = value(40);
    let base = Tree::new(paths_of).update(paths.iter().map(|path| change(path, &first)));
    for changed in &paths {
        for length in [0, 1, 39, 40, 41, 200] {
            let value = value(length);
            let tree = base.update([change(changed, &value)]);
            let expected = |path: &Path| if path == changed { value.as_slice() } else { first.as_slice() };
            assert!(tree.iter().map(|(_, value)| value).eq(paths.iter().map(expected)));
            let leaf = |path: &Path| Leaf { path: *path, value: value_hash(expected(path)) };
            assert_eq!(tree.root(), tree_root(&paths.iter().map(leaf).collect::<Vec<_>>()));
        }
    }
}
