//! What every store must do.

use crate::port::{Commit, Partition, Sequence, Store};

/// Demands of a store what the trait says. `open` opens the same store each time; the one opened before is gone by then.
pub fn store(open: &mut dyn FnMut() -> Box<dyn Store>) {
    let kept = open();
    let taken = kept.take_over(Partition(0)).expect("takes over");
    assert_eq!(taken.position, Sequence(0));
    let commit = Commit {
        epoch: taken.epoch,
        position: Sequence(7),
        ..Commit::default()
    };
    kept.commit(&commit).expect("commits");
    drop(kept);
    assert_eq!(
        open().take_over(Partition(0)).expect("takes over").position,
        Sequence(7)
    );
}
