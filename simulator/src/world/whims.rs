//! What programs have done to their own machines.
use quorate_primitives::Height;
use std::sync::Arc;

use super::World;
use super::breaking::Copy;
use crate::mount::Mount;
use crate::puppet::Whim;

impl World {
    pub(super) fn indulge(&mut self, node: usize, whim: Whim) {
        match whim {
            Whim::Keep => {
                let copy = Copy {
                    disk: self.nodes[node].disk.disk().clone(),
                    store: self.nodes[node].store.backup(),
                };
                self.copies[node] = Some(copy);
            }
            Whim::Restore => {
                let Some(copy) = self.copies[node].take() else { return };
                if self.nodes[node].is_up() {
                    self.crash(node, false);
                }
                self.env.marks.hit("old data restored by their owner");
                let restored = &mut self.nodes[node];
                restored.disk = Mount::new(copy.disk);
                restored.store = Arc::new(copy.store);
                restored.told = Height::ZERO;
            }
        }
    }
}
