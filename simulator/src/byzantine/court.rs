//! Whether the ledgers hold nobody guilty who is not.
use quorate_primitives::evidence::EvidenceKind;
use quorate_primitives::state::{StateGroup, StateKey};

use crate::world::World;

/// Marks of evidence that the ledger recorded.
pub(super) const MARKS: [&str; 3] =
    ["recorded: two notarize votes", "recorded: two finalize votes", "recorded: nullify and finalize"];

/// Looks at the evidence in every honest ledger.
pub fn look(world: &mut World) {
    let mut found = Vec::new();
    for node in world.nodes.iter().filter(|node| world.env.checkers.is_honest(node.id)) {
        let Some(replica) = node.replica() else { continue };
        let (evidence, _) = replica.ledger().head().state().group(&StateGroup::Evidence);
        let keys = evidence.into_iter().filter_map(|(key, _)| match key {
            StateKey::Evidence(epoch, accused, kind) => Some((node.id, epoch, accused, kind)),
            _ => None,
        });
        found.extend(keys);
    }
    for (node, epoch, accused, kind) in found {
        world.env.marks.hit(match kind {
            EvidenceKind::DoubleNotarize => MARKS[0],
            EvidenceKind::DoubleFinalize => MARKS[1],
            EvidenceKind::NullifyAndFinalize => MARKS[2],
        });
        if world.env.checkers.is_honest_key(&accused) {
            let detail =
                format!("the ledger of node {node} holds an honest validator guilty in epoch {epoch}");
            world.env.violate("accountability", detail);
        }
    }
}
